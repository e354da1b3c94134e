"""Pooled rank metrics stay exact where scores lie close together, as a young model's do."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from protocol.records import Evaluation
from protocol.sections import ClassName, Task
from strategies.metrics.combine import combine
from strategies.metrics.measure import measure

TASK = Task(classes=tuple(ClassName(name=n, definition=n) for n in ("no", "yes")))


def site(z: np.ndarray, y: np.ndarray) -> Evaluation:
    """A site that measured logits z of cases y, each a patient."""
    p = 1 / (1 + np.exp(-z))
    rng = np.random.default_rng(0)
    probs, targets = np.stack([1 - p, p], axis=1), np.eye(2, dtype=np.int64)[y]
    return measure(probs, targets, np.arange(len(y)), TASK, clustered=True, unsettled=0, rng=rng)


def drawn(spread: float, seed: int) -> tuple[dict[str, Evaluation], np.ndarray, np.ndarray]:
    """Four sites of 150 cases whose logits spread so much around a common centre."""
    rng = np.random.default_rng(seed)
    sites, zs, ys = {}, [], []
    centre, shifts = rng.normal(), rng.normal(0, 0.5, 4)
    for k, shift in enumerate(shifts):
        y = (rng.random(150) < 0.3).astype(np.int64)
        z = centre + spread * (rng.normal(size=150) + 1.5 * y + shift)
        sites[f"site-{k}"] = site(z, y)
        zs.append(z)
        ys.append(y)
    return sites, np.concatenate(zs), np.concatenate(ys)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spread", "auroc", "auprc"),
    [(0.05, 0.01, 0.1), (0.1, 0.005, 0.02), (0.5, 0.002, 0.006), (2, 0.002, 0.006)],
)
def test_pooled_is_close_to_exact_however_close_the_scores(
    spread: float, auroc: float, auprc: float
) -> None:
    for seed in range(8):
        sites, z, y = drawn(spread, seed)
        pooled = combine(sites, TASK).pooled
        assert abs(pooled["auroc"].estimate - roc_auc_score(y, z)) < auroc
        assert abs(pooled["auprc"].estimate - average_precision_score(y, z)) < auprc


def test_all_scores_in_one_bin_give_the_mean_of_the_sites_own() -> None:
    rng = np.random.default_rng(1)
    y = np.repeat([0, 1], [30, 10])
    tight = 1e-7 * rng.normal(size=40)
    first, second = site(tight + 1e-7 * y, y), site(tight - 3e-7 * y, y)
    twice = site(np.tile(tight + 1e-7 * y, 1), y)
    pooled = combine({"a": first, "b": second}, TASK).pooled["auroc"].estimate
    own = [e.estimates["auroc"] for e in (first, second)]
    assert own[0] > 0.6 > 0.4 > own[1]
    assert pooled == pytest.approx(np.mean(own))
    alone = combine({"a": twice}, TASK).pooled["auroc"].estimate
    assert alone == pytest.approx(own[0])


def test_without_any_estimable_site_the_bins_alone_are_used() -> None:
    rng = np.random.default_rng(2)
    sites = {}
    for k in range(6):  # too few of each class at every site, enough together
        y = np.repeat([0, 1], [6, 4])
        sites[f"s{k}"] = site(rng.normal(size=10) + 2 * y, y)
    assert all(math.isnan(e.estimates["auroc"]) for e in sites.values())
    assert 0.7 < combine(sites, TASK).pooled["auroc"].estimate < 1


def test_fine_counts_are_checked() -> None:
    rng = np.random.default_rng(3)
    one = site(rng.normal(size=40), np.repeat([0, 1], 20))
    assert one.fine.sum() == 40
    assert one.fine[0, 0].sum() == 20
    with pytest.raises(ValueError, match="fine counts have shape"):
        combine({"a": replace(one, fine=one.fine[:, :1])}, TASK)
