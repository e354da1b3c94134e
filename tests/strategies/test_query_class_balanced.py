"""Class-balanced queries: numbers by hand, brute force, and their pitfalls."""

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
from strategies.query.class_balanced import ClassBalanced, fill, rarest

Floats = NDArray[Any]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


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
