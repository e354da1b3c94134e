"""FairFAL: its balance and quotas by hand, its choice against plain loops."""

from __future__ import annotations

from collections.abc import Mapping
from math import log
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.linalg import norm
from numpy.typing import NDArray
from scipy.special import softmax

from strategies.pool import PER_CASE, Pool
from strategies.query.fairfal import FairFal, balance, equal_quotas, nearest_class

SEEDS = st.integers(0, 2**32 - 1)
few = settings(max_examples=25)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def pool_of(multi_label: bool = False, **signals: Any) -> Pool:
    arrays = {name: np.asarray(array, dtype=np.float64) for name, array in signals.items()}
    per_case = [len(a) for name, a in arrays.items() if name in PER_CASE]
    return Pool(per_case[0], arrays, multi_label)


def drawn(seed: int, n: int = 40, m: int = 6, c: int = 3, d: int = 5) -> dict[str, NDArray[Any]]:
    """Every signal of a random pool."""
    r = rng(seed)
    signals: dict[str, NDArray[Any]] = {"labeled_targets": np.eye(c)[r.integers(c, size=m)]}
    for before in ("", "local_", "scratch_"):
        for among, rows in (("", n), ("labeled_", m)):
            logits = 3 * r.standard_normal((rows, c))
            signals[f"{before}{among}probs"] = softmax(logits, axis=1)
            signals[f"{before}{among}features"] = r.standard_normal((rows, d))
            if not among:
                signals[f"{before}logits"] = logits
    return signals


def test_fairfal_s_balance_by_hand() -> None:
    present = np.array([[True, False], [True, False], [True, False], [False, True]])
    p = np.array([[0.8, 0.2]] * 3 + [[0.4, 0.6]])  # every class weighs the same: (0.6, 0.4)
    s = np.array([[1.0, 0.0]] * 3 + [[0.8, 0.2]])  # (0.9, 0.1)
    gamma, apart = balance(p, s, present)
    assert gamma == pytest.approx(0.4 / 0.6)
    assert apart == pytest.approx((0.3 / 1.5 + 0.3 / 0.5) / 2)
    assert balance(p, s, np.zeros((4, 2), dtype=bool)) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("sizes", "k", "wanted"),
    [
        ([10, 10, 10], 6, [2, 2, 2]),
        ([4, 10, 9], 7, [2, 3, 2]),
        ([0, 10, 2], 9, [0, 7, 2]),
        ([3, 0, 0], 3, [3, 0, 0]),
        ([5, 5], 0, [0, 0]),
    ],
)
def test_quotas_are_equal_as_far_as_there_are_cases(
    sizes: list[int], k: int, wanted: list[int]
) -> None:
    assert equal_quotas(np.array(sizes), k) == wanted


def test_a_case_belongs_to_the_class_that_its_direction_is_nearest_to() -> None:
    labeled = np.array([[10.0, 0.0], [0.0, 0.1]])
    present = np.array([[False, True, False], [False, False, True]])
    cases = np.array([[1.0, 0.9], [0.1, 9.0], [5.0, 0.0]])
    assert nearest_class(cases, labeled, present).tolist() == [1, 2, 1]


def errors(p: NDArray[Any], predicted: NDArray[Any], z: NDArray[Any]) -> list[NDArray[Any]]:
    """Each case's gradient of the last layer."""
    return [np.outer(row - yes, x).ravel() for row, yes, x in zip(p, predicted, z, strict=True)]


def predicted(p: NDArray[Any], several: bool) -> NDArray[Any]:
    return np.asarray(p > 0.5 if several else np.eye(p.shape[1])[p.argmax(axis=1)])


def unsure(p: NDArray[Any], several: bool) -> float:
    answers = [*p, *(1 - p)] if several else p
    return -sum(q * log(q) for q in answers)


def centres(gradients: list[NDArray[Any]], anchors: list[NDArray[Any]], count: int) -> list[int]:
    """Positions, each the farthest from its nearest anchor or position before."""
    found: list[int] = []
    for _ in range(min(count, len(gradients))):
        near = anchors + [gradients[i] for i in found]
        left = [i for i in range(len(gradients)) if i not in found]
        far = {i: min(np.linalg.norm(gradients[i] - a) for a in near) for i in left}
        found.append(max(far, key=lambda i: far[i]))
    return found


def plain_balance(signals: Mapping[str, NDArray[Any]], there: list[int]) -> tuple[float, float]:
    """gamma over the classes that have labels, d over all."""
    of = {c: signals["labeled_targets"][:, c] == 1 for c in there}
    names = "labeled_probs", "scratch_labeled_probs"
    g, s = (sum(signals[n][of[c]].mean(axis=0) for c in there) / len(there) for n in names)
    gaps = [abs(g[c] - s[c]) / (g[c] + s[c]) for c in range(len(g))]
    return min(g[there]) / max(g[there]), sum(gaps) / len(gaps)


def fair(pool: Pool, k: int, threshold: float, over: int) -> set[int]:
    """FairFAL in plain loops, where some class has labels; a set, for no distances are alike."""
    signals, several = pool.signals, pool.multi_label
    present = signals["labeled_targets"].astype(bool)
    there = [c for c in range(present.shape[1]) if present[:, c].any()]

    gamma, apart = plain_balance(signals, there)
    asked = "probs" if 1 - 0.5 * (apart + gamma) > threshold else "scratch_probs"
    by = "" if gamma < 0.5 else "scratch_"
    unit = {
        name: signals[name] / np.linalg.norm(signals[name], axis=1, keepdims=True)
        for name in ("features", "labeled_features")
    }
    means = {c: unit["labeled_features"][present[:, c]].mean(axis=0) for c in there}
    group = [max(there, key=lambda c: f @ means[c] / norm(means[c])) for f in unit["features"]]
    p, labeled = signals[f"{by}probs"], signals[f"{by}labeled_probs"]
    gradients = errors(p, predicted(p, several), signals["features"])
    known = errors(labeled, present, signals["labeled_features"])
    sizes = np.bincount(group, minlength=present.shape[1])
    taken: set[int] = set()
    for c, quota in enumerate(equal_quotas(sizes, k)):
        rows = [i for i in range(len(group)) if group[i] == c]
        rows.sort(key=lambda i: -unsure(signals[asked][i], several))
        rows = rows[: over * quota]
        anchors = [known[i] for i in np.flatnonzero(present[:, c])]
        taken |= {rows[i] for i in centres([gradients[i] for i in rows], anchors, quota)}
    return taken


@pytest.mark.parametrize("several", [False, True])
@settings(max_examples=30)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.6, 1.0]), st.integers(1, 3), st.booleans())
def test_fairfal_is_its_plain_loops_where_a_class_may_have_no_labels(
    several: bool, seed: int, threshold: float, over: int, absent: bool
) -> None:
    targets = np.eye(4)[[0, 2, 3, 0, 2, 3 if absent else 1]]
    if several:
        targets[[0, 3, 4]] = [[1, 0, 1, 0], [1, 0, 1, 1], [0, 0, 0, 0]]
    signals = drawn(seed, n=24, c=4) | {"labeled_targets": targets}
    if several:
        r = rng(seed)
        signals |= {name: r.random(p.shape) for name, p in signals.items() if "prob" in name}
    there = [c for c in range(4) if targets[:, c].any()]
    both = signals["labeled_probs"], signals["scratch_labeled_probs"]
    assert balance(*both, targets == 1) == pytest.approx(plain_balance(signals, there))
    pool = Pool(24, signals, several)
    picks = FairFal(threshold=threshold, over=over).select(pool, 7, rng(seed))
    assert set(picks.tolist()) == fair(pool, 7, threshold, over)


def test_fairfal_without_labels_still_chooses() -> None:
    signals = drawn(2)
    signals |= {name: a[:0] for name, a in signals.items() if "labeled" in name}
    assert len(set(FairFal().select(pool_of(**signals), 11, rng()).tolist())) == 11


def test_fairfal_takes_a_gamma_of_the_federation() -> None:
    signals = drawn(5, n=90)
    own = FairFal().select(pool_of(**signals), 12, rng())
    labels = signals["labeled_targets"] >= 0.5
    gamma, _ = balance(signals["labeled_probs"], signals["scratch_labeled_probs"], labels)
    same = FairFal(gamma=gamma).select(pool_of(**signals), 12, rng())
    other = FairFal(gamma=0.0 if gamma > 0.5 else 1.0).select(pool_of(**signals), 12, rng())
    assert own.tolist() == same.tolist() != other.tolist()
