"""ALFA-Mix and class-balanced queries: numbers by hand, brute force, and their pitfalls."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from strategies.build import build
from strategies.pool import Needs, Pool
from strategies.query import QUERY
from strategies.query.alfa_mix import AlfaMix, class_means, flip_steps, flipped, unlike
from strategies.query.class_balanced import ClassBalanced, fill, rarest

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


def brute_mix(z: Floats, anchor: Floats, w: Floats, b: Floats, t: float) -> Floats:
    """Logits of one case under the interpolation a as the paper writes it."""
    logits = w @ z + b
    p = np.exp(logits) / np.exp(logits).sum()
    g = w.T @ (p - np.eye(len(b))[p.argmax()])
    apart = anchor - z
    a = t * np.linalg.norm(apart) * g / (np.linalg.norm(g) * apart)
    return np.asarray(w @ (a * anchor + (1 - a) * z) + b)


@given(st.integers(0, 10**6))
@settings(max_examples=15)
def test_a_case_flips_at_its_step_and_not_before(seed: int) -> None:
    s = mixing(seed, n=6, m=1).signals
    z, w, b = s["features"], s["head_weights"], s["head_bias"]
    anchors = rng(seed + 1).standard_normal((1, 5))
    steps = flip_steps(z, anchors, w, b, False)
    for i, t in enumerate(steps):
        now = (w @ z[i] + b).argmax()
        far = 1e6 if np.isinf(t) else t * 0.999
        assert brute_mix(z[i], anchors[0], w, b, far).argmax() == now
        if np.isfinite(t):
            assert brute_mix(z[i], anchors[0], w, b, t * 1.001).argmax() != now


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


def test_means_of_the_classes_that_are_there() -> None:
    labeled = np.array([[1.0, 0.0], [3.0, 2.0], [5.0, 5.0]])
    targets = np.array([[1, 0, 0], [1, 0, 0], [0, 0, 1]])
    assert class_means(labeled, targets).tolist() == [[2, 1], [5, 5]]
    assert class_means(labeled[:0], targets[:0]).shape == (0, 2)
    with pytest.raises(ValueError, match="accepted is 3 rows"):
        class_means(labeled, targets[:2])


def test_the_reach_is_the_first_multiple_with_more_than_k() -> None:
    flips = np.array([0.31, 0.05, 0.95, 0.29, np.inf])
    assert flipped(flips, 1, 0.1).tolist() == [1, 3]  # 0.29 is within 0.3
    assert flipped(flips, 2, 0.1).tolist() == [0, 1, 3]
    assert flipped(flips, 4, 0.1).tolist() == [0, 1, 2, 3]
    assert flipped(flips, 0, 0.4).tolist() == [0, 1, 3]


def test_of_the_flipped_each_cluster_gives_its_central_case_largest_first() -> None:
    z = np.array([[0.0], [1.0], [2.0], [10.0], [11.0], [50.0], [11.2]])
    runs = [unlike(z, np.array([0, 1, 2, 3, 4, 6]), 2, rng(s)).tolist() for s in range(5)]
    assert all(set(r) == {1, 4} for r in runs)
    rows = unlike(z, np.array([0, 1, 2, 3, 4]), 2, rng()).tolist()
    assert rows[0] == 1
    assert rows[1] in (3, 4)
    assert set(unlike(z, np.array([5, 0]), 4, rng()).tolist()[:2]) == {0, 5}


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


def test_the_choice_flips_before_the_rest() -> None:
    pool = mixing(3)
    s = pool.signals
    anchors = class_means(s["labeled_features"], s["labeled_targets"])
    steps = flip_steps(s["features"], anchors, s["head_weights"], s["head_bias"], False)
    rows = AlfaMix(step=0.02).select(pool, 6, rng())
    grid = 0.02 / np.sqrt(5)
    reach = np.ceil(np.sort(steps)[6] / grid) * grid
    assert steps[rows].max() <= reach


@pytest.mark.parametrize(("weights", "bias"), [((3, 4), (3,)), ((3, 5), (2,)), ((15,), (3,))])
def test_a_head_of_another_shape_is_refused(weights: Any, bias: Any) -> None:
    signals = {**mixing(4).signals, "head_weights": np.ones(weights), "head_bias": np.ones(bias)}
    with pytest.raises(ValueError, match=r"accepted is \(classes, 5\) and \(classes,\)"):
        AlfaMix().select(Pool(30, signals), 2, rng())


# ---- class-balanced


def balanced(probs: Floats, have: list[int], multi_label: bool = False, seed: int = 0) -> Pool:
    """A pool whose site has so many labels of each class."""
    source, classes = rng(seed), probs.shape[1]
    targets = np.repeat(np.eye(classes), have, axis=0)
    signals = {
        "probs": probs,
        "labeled_targets": targets,
        "features": source.standard_normal((len(probs), 3)),
        "labeled_features": source.standard_normal((len(targets), 3)),
    }
    return Pool(len(probs), signals, multi_label)


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 6)), min_size=1, max_size=5),
    st.integers(0, 30),
    st.integers(0, 99),
)
@settings(max_examples=40)
def test_filling_raises_the_lowest(classes: list[tuple[int, int]], k: int, seed: int) -> None:
    have, available = np.array(classes).T
    k = min(k, int(available.sum()))
    turns = fill(have, available, k, rng(seed))
    now, left = have.copy(), available.copy()
    for c in turns:
        assert left[c] > 0
        assert now[c] == now[left > 0].min()
        now[c] += 1
        left[c] -= 1


def test_quotas_by_hand_and_the_best_of_each_class() -> None:
    probs = np.array([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3], [0.2, 0.8], [0.45, 0.55], [0.8, 0.2]])
    pool = balanced(probs, [3, 2])
    # class 1 has one less: it gets the first, then both one each; by entropy 4, 3 and 1
    rows = ClassBalanced("entropy").select(pool, 3, rng()).tolist()
    assert rows[0] == 4
    assert set(rows[1:]) == {1, 3}
    # class 1 runs out, the rest is of class 0
    assert ClassBalanced("entropy").select(pool, 6, rng()).tolist()[3:] == [2, 5, 0]


def test_a_class_nobody_predicts_leaves_its_turns_to_the_others() -> None:
    probs = np.tile([0.5, 0.4, 0.1], (9, 1))
    rows = ClassBalanced("margin").select(balanced(probs, [4, 0, 0]), 9, rng())
    assert sorted(rows.tolist()) == list(range(9))


def test_coreset_within_a_class_starts_from_that_classes_labels() -> None:
    x = np.array([[0.0], [1.0], [5.0], [100.0], [101.0], [105.0]])
    signals = {
        "probs": np.repeat(np.eye(2), 3, axis=0),
        "features": x,
        "labeled_features": np.array([[0.0], [105.0]]),
        "labeled_targets": np.eye(2),
    }
    rows = ClassBalanced().select(Pool(6, signals), 2, rng()).tolist()
    assert set(rows) == {2, 3}  # 5 from 0, and 100 from 105


def test_the_rarest_present_class_counts() -> None:
    present = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0], [0, 1, 1]], dtype=bool)
    assert rarest(present, np.array([9, 2, 4])).tolist() == [1, 0, 3, 1]


def test_several_labels_and_none_of_them() -> None:
    probs = np.array([[0.9, 0.8], [0.9, 0.1], [0.2, 0.3], [0.1, 0.4], [0.7, 0.2]])
    pool = balanced(probs, [3, 1], multi_label=True)
    # nothing present has no label, class 1 has one, class 0 three
    rows = ClassBalanced("least-confidence").select(pool, 5, rng()).tolist()
    assert rows[0] == 3  # nothing present, the less sure
    assert set(rows[1:3]) == {2, 0}
    assert rows[3:] == [4, 1]


@pytest.mark.parametrize("inner", ["coreset", "entropy", "margin", "least-confidence"])
@pytest.mark.parametrize("have", [[0, 0, 0], [1, 0, 0], [2, 3, 4]])
def test_every_inner_strategy_from_no_label_on(inner: str, have: list[int]) -> None:
    probs = rng(5).dirichlet(np.ones(3), 60)
    rows = ClassBalanced(inner).select(balanced(probs, have), 12, rng(1))
    likely = probs.argmax(axis=1)
    total = np.array(have) + np.bincount(likely[rows], minlength=3)
    assert total.max() - total.min() <= 1  # every class has cases enough


def test_duplicates_are_picked_once_each_and_none_by_its_place() -> None:
    pool = balanced(np.tile([0.6, 0.4], (30, 1)), [0, 0])
    runs = [ClassBalanced("entropy").select(pool, 30, rng(s)).tolist() for s in range(12)]
    assert all(sorted(r) == list(range(30)) for r in runs)
    assert len({r[0] for r in runs}) > 5


def test_it_needs_what_the_inner_strategy_needs() -> None:
    assert ClassBalanced("bald", {"members": 7}).needs == Needs(
        frozenset({"mc_probs", "probs", "labeled_targets"}), members=7
    )
    assert "labeled_features" in ClassBalanced().needs.signals


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"inner": "badge"}, "'inner' is 'badge'; accepted is one of bald, coreset, entropy"),
        ({"inner_arguments": {"x": 1}}, "'inner_arguments' of coreset is given; accepted is none"),
        ({"inner": "bald", "inner_arguments": {"members": 1}}, "accepted is 2 or more"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        build(QUERY, "class-balanced", **arguments)


def test_targets_of_other_classes_are_refused() -> None:
    pool = balanced(np.full((4, 2), 0.5), [1, 1])
    with pytest.raises(ValueError, match="and 2 columns, as many as 'probs'"):
        ClassBalanced().select(
            Pool(4, {**pool.signals, "labeled_targets": np.eye(3)[:2]}), 2, rng()
        )
