"""Two models on the same cases: the paired interval against a brute-force bootstrap, and words."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from protocol.gain import Pair, SiteGain
from protocol.sections import ClassName, Task
from strategies.metrics.combine import combine
from strategies.metrics.difference import across, difference
from strategies.metrics.measure import measure
from strategies.metrics.sums import layout, square
from strategies.stopping.gain import Gain, gain

TASK = Task(classes=tuple(ClassName(name=n, definition="d") for n in ("normal", "opacity")))
Probs = NDArray[np.float64]


def made(n: int, seed: int, better: float = 0.0) -> tuple[Probs, Probs, Any, Any]:
    """Two models whose errors go together, the second `better` times as sharp."""
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < 0.4
    shared = rng.standard_normal(n)
    scores = [
        (0.8 + extra) * (2 * truth - 1) + shared + 0.4 * rng.standard_normal(n)
        for extra in (0.0, better)
    ]
    probs = [np.stack([1 - p, p], axis=1) for p in (1 / (1 + np.exp(-s)) for s in scores)]
    targets = np.stack([~truth, truth], axis=1).astype(np.uint8)
    return probs[0], probs[1], targets, np.repeat(np.arange(n), 2)[:n]  # two cases of a patient


def paired(one: Probs, two: Probs, targets: Any, patients: Any) -> Pair:
    rng = np.random.default_rng(0)
    measured = [
        measure(p, targets, patients, TASK, clustered=True, unsettled=0, rng=rng)
        for p in (one, two)
    ]
    return Pair(measured[0], measured[1], across(one, two, targets, patients, TASK))


@pytest.mark.slow
def test_a_model_against_itself_gains_nothing_for_sure() -> None:
    one, _, targets, patients = made(60, 0)
    pair = paired(one, one, targets, patients)
    m = layout(TASK).size
    assert pair.across.reshape(m, m) == pytest.approx(square(pair.random.covariance), abs=1e-3)
    for found in difference({"a": pair}, TASK).values():
        assert found.estimate == 0.0
        assert found.low == pytest.approx(0.0, abs=1e-3)
        assert found.high == pytest.approx(0.0, abs=1e-3)


def test_the_estimate_is_that_of_the_pooled_metrics_and_positive_is_better() -> None:
    parts = {site: made(80, seed, better=0.6) for seed, site in enumerate("ab")}
    pairs = {site: paired(*part) for site, part in parts.items()}
    found = difference(pairs, TASK)
    one = combine({s: p.random for s, p in pairs.items()}, TASK).pooled
    two = combine({s: p.queried for s, p in pairs.items()}, TASK).pooled
    gain_of = {n: two[n].estimate - one[n].estimate for n in ("auroc", "log_loss")}
    assert found["auroc"].estimate == pytest.approx(gain_of["auroc"])
    assert found["auroc"].estimate > 0
    assert found["log_loss"].estimate == pytest.approx(-gain_of["log_loss"])
    assert found["log_loss"].estimate > 0


@pytest.mark.parametrize("metric", ["auroc", "log_loss", "brier"])
def test_the_interval_is_that_of_a_bootstrap_of_pairs_and_narrower_than_unpaired(
    metric: str,
) -> None:
    one, two, targets, patients = made(160, 3, better=0.3)
    pair = paired(one, two, targets, patients)
    found = difference({"a": pair}, TASK)[metric]
    error = (found.high - found.low) / (2 * 1.959964)
    rng = np.random.default_rng(1)
    drawn = []
    for _ in range(400):
        who = rng.integers(80, size=80)
        rows = np.concatenate([2 * who, 2 * who + 1])
        drawn.append(_gain(metric, one[rows], two[rows], targets[rows]))
    assert error == pytest.approx(np.std(drawn), rel=0.12)
    apart = sum(p.variances[metric] for p in (pair.random, pair.queried))
    assert error < 0.8 * math.sqrt(apart)


def _gain(metric: str, one: Probs, two: Probs, targets: Any) -> float:
    values = []
    for probs in (one, two):
        p, y = probs[:, 1], targets[:, 1] == 1
        if metric == "auroc":
            wins = (p[y][:, None] > p[~y][None]) + 0.5 * (p[y][:, None] == p[~y][None])
            values.append(wins.mean())
        elif metric == "brier":
            values.append(-(((probs - targets) ** 2).sum(axis=1) / 2).mean())
        else:
            values.append(np.log(np.where(y, p, 1 - p)).mean())
    return float(values[1] - values[0])


def told(pair: Pair | None, labels: int = 40, apart: int = 10) -> SiteGain:
    return SiteGain("a", labels, apart, pair)


def test_the_verdict_is_better_only_where_the_interval_leaves_out_0() -> None:
    clear = gain(2, {"a": told(paired(*made(200, 5, better=2.0)))}, TASK)
    assert clear.verdict == "better"
    assert clear.metrics["auroc"].low > 0
    one, two, targets, patients = made(200, 5, better=2.0)
    turned = gain(2, {"a": told(paired(two, one, targets, patients))}, TASK)
    assert turned.verdict == "worse"
    unclear = gain(2, {"a": told(paired(*made(60, 6)))}, TASK)
    low, high = unclear.metrics["auroc"].low, unclear.metrics["auroc"].high
    assert low < 0 < high
    assert unclear.verdict == "cannot tell"
    assert "cannot tell, the interval spans 0" in unclear.words
    assert "60 audit cases" in unclear.words


def test_few_audit_cases_or_none_cannot_tell() -> None:
    few = gain(0, {"a": told(paired(*made(12, 7)))}, TASK)
    assert few.verdict == "cannot tell"
    assert "AUROC is not estimable" in few.words
    assert math.isfinite(few.metrics["brier"].estimate)
    nothing = gain(0, {"a": told(None), "b": told(None, apart=0)}, TASK)
    assert (nothing.cases, nothing.labels, nothing.apart) == (0, 80, 10)
    assert nothing.verdict == "cannot tell"
    early = gain(0, {"a": told(None, apart=0)}, TASK)
    assert "no reading of a later cycle was drawn at random yet" in early.words
    assert early.document()["metrics"]["auroc"] == [None, None, None]


def test_a_patient_alone_gives_no_interval() -> None:
    one, two, targets, _ = made(30, 8)
    pair = paired(one, two, targets, np.zeros(30, dtype=np.int64))
    found = difference({"a": pair}, TASK)["brier"]
    assert math.isnan(found.low)
    assert isinstance(gain(0, {"a": told(pair)}, TASK), Gain)
