"""ALFA-Mix: numbers by hand, its paper and its authors' loop written out, and its pitfalls."""

from __future__ import annotations

from math import exp, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from strategies.pool import NotFinite, Pool
from strategies.query.alfa_mix import AlfaMix, anchors_of, flip_steps, flipped, unlike

Floats = NDArray[Any]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def mixing(seed: int, n: int = 30, m: int = 8, multi_label: bool = False) -> Pool:
    source = rng(seed)
    signals = {
        "features": source.standard_normal((n, 5)),
        "labeled_features": source.standard_normal((m, 5)),
        "labeled_targets": np.eye(3)[source.integers(3, size=m)],
        "head_weights": source.standard_normal((3, 5)),
        "head_bias": source.standard_normal(3),
    }
    return Pool(n, signals, multi_label)


Plain = list[float]
Head = tuple[list[Plain], Plain]


def logits_of(z: Plain, head: Head) -> Plain:
    w, b = head
    return [
        sum(x * y for x, y in zip(row, z, strict=True)) + c for row, c in zip(w, b, strict=True)
    ]


def predicted(logits: Plain, multi_label: bool) -> list[bool]:
    if multi_label:
        return [x >= 0 for x in logits]
    return [c == logits.index(max(logits)) for c in range(len(logits))]


def mixed(z: Plain, anchor: Plain, head: Head, t: float, multi_label: bool) -> Plain:
    """A case's features under the interpolation a as the paper writes it.

    A coordinate that equals the anchor's stays, as by the 1e-8 of the authors' code.
    """
    now, d = logits_of(z, head), range(len(z))
    if multi_label:
        p = [1 / (1 + exp(-x)) for x in now]
    else:
        p = [exp(x) / sum(exp(y) for y in now) for x in now]
    error = [q - y for q, y in zip(p, predicted(now, multi_label), strict=True)]
    g = [sum(e * row[j] for e, row in zip(error, head[0], strict=True)) for j in d]
    far, length = sqrt(sum((anchor[j] - z[j]) ** 2 for j in d)), sqrt(sum(x * x for x in g))
    apart = [anchor[j] - z[j] for j in d]
    a = [t * far * g[j] / (length * apart[j]) if apart[j] else 0.0 for j in d]
    return [(1 - a[j]) * z[j] + a[j] * anchor[j] for j in d]


def changes(z: Plain, anchor: Plain, head: Head, t: float, multi_label: bool) -> bool:
    both = z, mixed(z, anchor, head, t, multi_label)
    now, then = (predicted(logits_of(x, head), multi_label) for x in both)
    return now != then


@given(st.integers(0, 10**6), st.booleans())
@settings(max_examples=15)
def test_a_case_flips_at_its_step_and_not_before(seed: int, multi_label: bool) -> None:
    s = mixing(seed, n=6, m=1).signals
    z, w, b = s["features"], s["head_weights"], s["head_bias"]
    anchor = rng(seed + 1).standard_normal((1, 5))
    to, head = anchor[0].tolist(), (w.tolist(), b.tolist())
    for row, t in zip(z.tolist(), flip_steps(z, anchor, w, b, multi_label), strict=True):
        before = 1e6 if np.isinf(t) else t * 0.999
        assert not changes(row, to, head, before, multi_label)
        assert np.isinf(t) or changes(row, to, head, t * 1.001, multi_label)


def test_the_step_by_hand() -> None:
    # logits are z and 0: p is (s, 1 - s), the gradient points to less z, length 1 once scaled
    w, b = np.array([[1.0], [0.0]]), np.zeros(2)
    z, anchors = np.array([[0.5], [1.0], [2.0]]), np.array([[-1.0], [2.0]])
    # t |anchor - z| = z: 0.5 / 1.5, 1 / 2, 2 / 3; on the anchor 2 itself nothing can be mixed
    assert flip_steps(z, anchors, w, b, False) == pytest.approx([1 / 3, 1 / 2, 2 / 3])
    assert np.isinf(flip_steps(z[2:], anchors[1:], w, b, False)).all()
    # one yes or no of the same logit
    assert flip_steps(z, anchors, w[:1], b[:1], True) == pytest.approx([1 / 3, 1 / 2, 2 / 3])


def test_a_coordinate_that_equals_the_anchors_cannot_be_mixed() -> None:
    w, b = np.array([[1.0, 1.0], [0.0, 0.0]]), np.zeros(2)
    z, anchors = np.array([[1.0, 1.0]]), np.array([[-2.0, 1.0]])
    # the gradient is -(1, 1) / sqrt 2; only the first coordinate moves: 2 = t 3 / sqrt 2
    assert flip_steps(z, anchors, w, b, False) == pytest.approx([2 * np.sqrt(2) / 3])


def test_the_anchor_of_a_class_without_labels_is_the_mean_of_all_labeled_cases() -> None:
    labeled = np.array([[1.0, 0.0], [3.0, 2.0], [5.0, 5.0]])
    targets = np.array([[1, 0, 0], [1, 0, 0], [0, 0, 1]])
    anchors = [[2, 1], [3, 7 / 3], [5, 5]]
    assert anchors_of(labeled, targets) == pytest.approx(np.array(anchors))
    assert anchors_of(labeled[:0], targets[:0]).shape == (0, 2)
    with pytest.raises(ValueError, match="accepted is 3 rows"):
        anchors_of(labeled, targets[:2])
    # each class's anchor shares a coordinate with (1, 1), which then takes 2 sqrt 2 / 3 to flip;
    # their mean (-1/2, -1/2) shares none: 2 = t (3 / sqrt 2) sqrt 2
    w, z = np.array([[1.0, 1.0], [0.0, 0.0]]), np.array([[1.0, 1.0]])
    two = np.array([[-2.0, 1.0], [1.0, -2.0]])
    known = anchors_of(two, np.eye(2))
    assert flip_steps(z, known, w, np.zeros(2), False) == pytest.approx([2 * sqrt(2) / 3])
    third = anchors_of(two, np.eye(3)[:2])
    assert flip_steps(z, third, w, np.zeros(2), False) == pytest.approx([2 / 3])


def test_the_reach_is_the_first_multiple_with_more_than_k() -> None:
    flips = np.array([0.31, 0.05, 0.95, 0.29, np.inf])
    assert flipped(flips, 1, 0.1, 1).tolist() == [1, 3]  # 0.29 is within 0.3
    assert flipped(flips, 2, 0.1, 1).tolist() == [0, 1, 3]
    assert flipped(flips, 4, 0.1, 1).tolist() == [0, 1, 2, 3]
    assert flipped(flips, 0, 0.4, 1).tolist() == [0, 1, 3]


def test_the_reach_is_at_most_the_first_multiple_from_1_over_the_root_of_d_on() -> None:
    flips = np.array([0.2, 0.3, 0.45, 0.58, 0.62])
    assert flipped(flips, 0, 0.5, 4).tolist() == [0]  # multiples are 0.25 and 0.5
    assert flipped(flips, 2, 0.5, 4).tolist() == [0, 1, 2]
    assert flipped(flips, 4, 0.5, 4).tolist() == [0, 1, 2]
    assert flipped(flips, 4, 0.3, 4).tolist() == [0, 1, 2, 3]  # 0.15, 0.3, 0.45 and 0.6
    assert flipped(flips, 5, 0.3, 4).tolist() == [0, 1, 2, 3]


def test_no_more_than_1_over_the_root_of_d_of_an_anchor_is_mixed_in() -> None:
    # logits z_0 and 0, one labeled case at z_0 = -1: a case flips at z_0 / (z_0 + 1)
    z = np.zeros((5, 4))
    z[:, 0] = [3.0, 0.25, 4.0, 0.9, 5.0]  # 0.75, 0.2, 0.8, 0.47, 0.83; the reach is 0.5
    signals = {
        "features": z,
        "labeled_features": np.array([[-1.0, 0.0, 0.0, 0.0]]),
        "labeled_targets": np.array([[0.0, 1.0]]),
        "head_weights": np.array([[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]),
        "head_bias": np.zeros(2),
    }
    runs = [AlfaMix().select(Pool(5, signals), 3, rng(s)).tolist() for s in range(20)]
    assert all(set(r[:2]) == {1, 3} for r in runs)
    assert {r[2] for r in runs} == {0, 2, 4}  # the rest at random


def authors_candidates(pool: Pool, k: int, step: float) -> set[int]:
    """The cases that the loop of the authors' code ends with, number by number."""
    s = {name: array.tolist() for name, array in pool.signals.items()}
    labeled, head = s["labeled_features"], (s["head_weights"], s["head_bias"])
    anchors = []
    for c in range(3):
        rows = [z for z, y in zip(labeled, s["labeled_targets"], strict=True) if y[c]] or labeled
        anchors.append([sum(column) / len(rows) for column in zip(*rows, strict=True)])
    found: set[int] = set()
    cap = 0.0
    while cap < 1 and len(found) <= k:
        cap += step
        for i, z in enumerate(s["features"]):
            t = cap / sqrt(len(z))
            if any(changes(z, anchor, head, t, pool.multi_label) for anchor in anchors):
                found.add(i)
    return found


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(1, 12), st.sampled_from([0.2, 0.25, 0.3]), st.booleans())
def test_the_candidates_are_those_of_the_authors_loop_and_come_first(
    seed: int, k: int, step: float, multi_label: bool
) -> None:
    drawn = mixing(seed, n=12, m=3, multi_label=multi_label)
    sparse = {name: np.maximum(drawn.signals[name], 0) for name in ("features", "labeled_features")}
    pool = Pool(12, {**drawn.signals, **sparse}, multi_label)  # zeros are what anchors share
    wanted = authors_candidates(pool, k, step)
    z, labeled = sparse.values()
    anchors = anchors_of(labeled, pool.signals["labeled_targets"])
    head = pool.signals["head_weights"], pool.signals["head_bias"]
    flips = flip_steps(z, anchors, *head, multi_label)
    assert set(flipped(flips, k, step, 5).tolist()) == wanted
    picks = AlfaMix(step).select(pool, k, rng(seed)).tolist()
    assert set(picks[: len(wanted)]) <= wanted


def at(*degrees: float) -> Floats:
    """Rows of length 1, 2, 3 and so on in these directions."""
    x = np.radians(np.array(degrees))
    lengths = np.arange(1.0, 1 + len(degrees))
    return np.asarray(np.stack([np.cos(x), np.sin(x)], axis=1) * lengths[:, None])


def test_of_the_flipped_each_cluster_of_directions_gives_its_central_case_largest_first() -> None:
    z = at(0, 2, 4, 90, 92, 200, 92.5)
    runs = [unlike(z, np.array([0, 1, 2, 3, 4, 6]), 2, rng(s)).tolist() for s in range(5)]
    assert all(set(r) == {1, 4} for r in runs)
    rows = unlike(z, np.array([0, 1, 2, 3, 4]), 2, rng()).tolist()
    assert rows[0] == 1
    assert rows[1] in (3, 4)
    assert set(unlike(z, np.array([5, 0]), 4, rng()).tolist()[:2]) == {0, 5}


def test_lengths_decide_no_cluster_and_those_that_overflow_are_refused() -> None:
    z = at(0, 90, 1, 91, 2, 89)
    z[4] *= 100  # alone, were clusters of distances
    for s in range(5):
        assert set(unlike(z, np.arange(6), 2, rng(s)).tolist()) == {1, 2}
    with pytest.raises(NotFinite, match="overflow float32"):
        unlike(np.full((4, 2), 1e30, np.float32), np.arange(4), 2, rng())


def test_duplicates_fill_what_their_clusters_cannot() -> None:
    z = np.tile(rng(1).standard_normal((2, 4)), (10, 1))
    rows = unlike(z, np.arange(15), 20, rng()).tolist()
    assert sorted(rows) == list(range(20))
    assert set(rows[:15]) == set(range(15))
    assert len(set(unlike(z, np.arange(15), 6, rng()).tolist())) == 6


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("labeled", [0, 1])
def test_no_label_and_one(labeled: int, multi_label: bool) -> None:
    pool = mixing(2, m=labeled, multi_label=multi_label)
    runs = [AlfaMix().select(pool, 30, rng(s)).tolist() for s in range(8)]
    assert all(sorted(r) == list(range(30)) for r in runs)
    if not labeled:
        assert len({r[0] for r in runs}) > 4  # nothing to mix with: at random


@pytest.mark.parametrize(("weights", "bias"), [((3, 4), (3,)), ((3, 5), (2,)), ((15,), (3,))])
def test_a_head_of_another_shape_is_refused(weights: Any, bias: Any) -> None:
    signals = {**mixing(4).signals, "head_weights": np.ones(weights), "head_bias": np.ones(bias)}
    with pytest.raises(ValueError, match=r"accepted is \(classes, 5\) and \(classes,\)"):
        AlfaMix().select(Pool(30, signals), 2, rng())
