"""FairFAL: its balance and quotas by hand, its choice against plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import softmax
from scipy.stats import entropy

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


def fair(signals: dict[str, NDArray[Any]], k: int, threshold: float, over: int) -> set[int]:
    """FairFAL in plain loops, in classes that all have labels and enough cases; a set."""
    labels = signals["labeled_targets"].argmax(axis=1)
    classes = signals["probs"].shape[1]

    def mean(name: str) -> NDArray[Any]:
        each = [signals[name][labels == c].mean(axis=0) for c in range(classes)]
        return np.asarray(np.mean(each, axis=0))

    g, s = mean("labeled_probs"), mean("scratch_labeled_probs")
    gamma, apart = g.min() / g.max(), np.mean(abs(g - s) / (g + s))
    asked = "probs" if 1 - 0.5 * (apart + gamma) > threshold else "scratch_probs"
    pair = ("probs", "labeled_probs") if gamma < 0.5 else ("scratch_probs", "scratch_labeled_probs")
    unit = {
        name: signals[name] / np.linalg.norm(signals[name], axis=1, keepdims=True)
        for name in ("features", "labeled_features")
    }
    means = [unit["labeled_features"][labels == c].mean(axis=0) for c in range(classes)]
    group = [int(np.argmax([f @ m / np.linalg.norm(m) for m in means])) for f in unit["features"]]
    taken: set[int] = set()
    for c in range(classes):
        rows = [i for i in range(len(group)) if group[i] == c]
        rows.sort(key=lambda i: -entropy(signals[asked][i]))
        rows, picks = rows[: over * (k // classes)], []
        anchors = [
            np.outer(p - np.eye(classes)[c], z).ravel()
            for p, z, y in zip(signals[pair[1]], signals["labeled_features"], labels, strict=True)
            if y == c
        ]
        gradient = {}
        for i in rows:
            p = signals[pair[0]][i]
            gradient[i] = np.outer(p - np.eye(classes)[p.argmax()], signals["features"][i]).ravel()
        while len(picks) < k // classes:
            left = [i for i in rows if i not in picks]
            far = {i: min(np.linalg.norm(gradient[i] - a) for a in anchors) for i in left}
            picks.append(max(far, key=lambda i: far[i]))
            anchors.append(gradient[picks[-1]])
        taken |= set(picks)
    return taken


@pytest.mark.slow
@few
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.6, 1.0]), st.integers(1, 4))
def test_fairfal_is_its_plain_loops(seed: int, threshold: float, over: int) -> None:
    signals = drawn(seed, n=90, m=9) | {"labeled_targets": np.eye(3)[[0, 1, 2] * 3]}
    of = nearest_class(
        signals["features"], signals["labeled_features"], signals["labeled_targets"] >= 0.5
    )
    if np.bincount(of, minlength=3).min() < 12:
        return
    picks = FairFal(threshold=threshold, over=over).select(pool_of(**signals), 9, rng(seed))
    assert set(picks.tolist()) == fair(signals, 9, threshold, over)


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
