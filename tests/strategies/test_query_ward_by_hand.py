"""Our own strategy's default against plain loops, and its other parts against cases by hand."""

from __future__ import annotations

from math import floor, log
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from strategies.pool import Pool
from strategies.query.kmeans import k_means
from strategies.query.refit import own_probabilities
from strategies.query.ward import Ward, turns_of

SEEDS = st.integers(0, 2**32 - 1)
N, C, D = 24, 3, 4


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def drawn(seed: int, labels: int, *, multi: bool, distinct: int) -> Pool:
    """A small pool: cases that look the same, cases of which the model says the same."""
    r = rng(seed)
    probs = r.random((N, C)) if multi else r.dirichlet(np.ones(C), size=N)
    probs[r.integers(N, size=6)] = probs[0]
    targets = (r.random((labels, C)) < 0.4).astype(float)
    signals: dict[str, NDArray[Any]] = {
        "probs": probs,
        "features": r.standard_normal((N, D)),
        "looks": r.random((distinct, 6)).astype(np.float32)[r.integers(distinct, size=N)],
        "labeled_features": r.standard_normal((labels, D)),
        "labeled_targets": targets if multi else np.eye(C)[r.integers(C, size=labels)],
        "head_weights": r.standard_normal((C, D)),
        "head_bias": r.standard_normal(C),
    }
    return Pool(N, signals, multi)


def class_of(present: list[bool], labels: list[int]) -> int:
    """The scarcest of the classes that are there; one more class for a case without any."""
    there = [c for c in range(C) if present[c]]
    return min(there, key=lambda c: (labels[c], c)) if there else C


def doubt_of(p: list[float], *, multi: bool) -> float:
    yes = -sum(q * log(q) for q in p if q > 0)
    return yes - (sum((1 - q) * log(1 - q) for q in p if q < 1) if multi else 0)


def classes_of(pool: Pool) -> tuple[list[int], list[int]]:
    """Each case's class, and how many labels each class has, the class of no class among them."""
    own = own_probabilities(pool).tolist()
    labeled = [[t >= 0.5 for t in row] for row in pool.signals["labeled_targets"].tolist()]
    labels = [sum(row[c] for row in labeled) for c in range(C)]
    groups = []
    for p, q in zip(pool.signals["probs"].tolist(), own, strict=True):
        mean = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
        if pool.multi_label:
            groups.append(class_of([a >= 0.5 for a in mean], labels))
        else:
            groups.append(mean.index(max(mean)))
    stands_for = [class_of(row, labels) for row in labeled]
    return groups, [stands_for.count(c) for c in range(C + 1)]


def plain_turns(groups: list[int], have: list[int], k: int, chance: list[int]) -> list[int | None]:
    """Every second pick goes to the class with fewest labels and picks that has cases left."""
    counts, left = list(have), [groups.count(c) for c in range(C + 1)]
    turns: list[int | None] = []
    for i in range(k):
        if floor((i + 1) / 2) == floor(i / 2):
            turns.append(None)
            continue
        c = min((c for c in range(C + 1) if left[c]), key=lambda c: (counts[c], chance[c]))
        counts[c] += 1
        left[c] -= 1
        turns.append(c)
    return turns


def plain_default(pool: Pool, k: int, r: np.random.Generator) -> list[int]:
    """What `Ward()` should choose: of each group of looks the most doubtful, then the second."""
    looks: NDArray[Any] = pool.signals["looks"]
    groups, have = classes_of(pool)
    turns = plain_turns(groups, have, k, r.permutation(C + 1).tolist())
    doubt = [doubt_of(p, multi=pool.multi_label) for p in pool.signals["probs"].tolist()]
    picks: dict[int, int] = {}
    for c in [*range(C + 1), None]:
        places = [i for i in range(k) if turns[i] == c]
        if not places:
            continue
        rows = [i for i in range(N) if i not in picks.values() and c in (None, groups[i])]
        r.random()  # of the phases, which are all warm
        cluster = k_means(looks[rows], len(places), r, 20).assigned.tolist()
        ties, later = r.random(len(rows)).tolist(), r.random(len(rows)).tolist()
        order = []
        for i, row in enumerate(rows):
            before = [
                j
                for j in range(len(rows))
                if cluster[j] == cluster[i] and (-doubt[rows[j]], ties[j]) < (-doubt[row], ties[i])
            ]
            order.append((len(before), -doubt[row], later[i], row))
        chosen = sorted(order)[: len(places)]
        picks |= {place: row for place, (*_, row) in zip(places, chosen, strict=True)}
    return [picks[i] for i in range(k)]


@pytest.mark.parametrize("multi", [False, True])
@settings(max_examples=20)
@given(seed=SEEDS, k=st.integers(1, N), labels=st.integers(0, 9), distinct=st.integers(1, N))
def test_the_default_is_its_plain_loop(
    multi: bool, seed: int, k: int, labels: int, distinct: int
) -> None:
    pool = drawn(seed, labels, multi=multi, distinct=distinct)
    assert Ward().select(pool, k, rng(seed)).tolist() == plain_default(pool, k, rng(seed))


def of_two(probs: NDArray[Any], **signals: NDArray[Any]) -> Pool:
    """A pool of two classes whose cases all look the same, with one label of each class."""
    n = len(probs)
    made = {
        "probs": probs,
        "features": np.arange(2.0 * n).reshape(n, 2),
        "looks": np.ones((n, 3), np.float32),
        "labeled_features": np.array([[1.0, 0.0], [0.0, 1.0]]),
        "labeled_targets": np.eye(2),
    }
    return Pool(n, made | signals)


def test_by_prototypes_a_case_is_of_the_class_in_whose_direction_it_lies() -> None:
    p = np.array([0.51, 0.55, 0.6, 0.65, 0.9, 0.92, 0.94, 0.96])  # to the model all of class 0
    features = np.array([[5.0, 1.0]] * 4 + [[1.0, 3.0]] * 4)
    pool = of_two(np.column_stack([p, 1 - p]), features=features)
    by = {
        classes: sorted(
            Ward(own="none", classes=classes, balance=1.0).select(pool, 4, rng()).tolist()
        )
        for classes in ("ensemble", "prototype")
    }
    assert by["prototype"] == [0, 1, 4, 5]  # the two most doubtful of either direction
    assert by["ensemble"] == [0, 1, 2, 3]


def test_disagreement_is_what_the_doubt_of_each_model_alone_leaves() -> None:
    p = np.array([0.5, 0.95, 0.9])  # unsure alike, sure of opposites, sure of the same
    q = np.array([0.5, 0.2, 0.9])
    pool = of_two(np.column_stack([p, 1 - p]), local_probs=np.column_stack([q, 1 - q]))
    first = {
        doubt: int(Ward(own="local", doubt=doubt, balance=0.0).select(pool, 1, rng())[0])
        for doubt in ("ensemble", "disagreement")
    }
    assert first == {"ensemble": 0, "disagreement": 1}
    even = of_two(np.column_stack([p, 1 - p]), local_probs=np.column_stack([p, 1 - p]))
    alike = Ward(own="local", mix="product", doubt="disagreement", balance=0.0)
    assert len(alike.select(even, 2, rng())) == 2  # no doubt at all is no division by 0


@pytest.mark.parametrize("balance", [0.5, 1.0])
def test_a_cold_pick_keeps_away_from_those_of_classes_before(balance: float) -> None:
    # of class 0, without labels, a case at 10; of class 1 one beside it, and one on the other side
    p = np.array([0.9, 0.1, 0.1])
    features = np.array([[10.0, 0.0], [9.0, 0.0], [-5.0, 0.0]])
    labeled = {"labeled_features": np.zeros((2, 2)), "labeled_targets": np.eye(2)[[1, 1]]}
    pool = of_two(np.column_stack([p, 1 - p]), features=features, **labeled)
    picks = Ward(warm=(9, 9), own="none", balance=balance).select(pool, 2, rng()).tolist()
    assert sorted(picks) == [0, 2]


@pytest.mark.parametrize(("k", "of_class"), [(1, 0), (2, 1), (3, 1), (5, 2)])
def test_the_picks_that_have_a_class_are_rounded_down(k: int, of_class: int) -> None:
    turns = turns_of(np.repeat([0, 1], 9), np.array([0, 4]), k, Ward().balance, rng())
    assert (turns >= 0).sum() == of_class


@pytest.mark.parametrize("multi", [False, True])
def test_a_grant_of_one_case_asks_for_the_most_doubtful_of_all(multi: bool) -> None:
    for seed in range(4):
        pool = drawn(seed, 5, multi=multi, distinct=N)
        doubt = [doubt_of(p, multi=multi) for p in pool.signals["probs"].tolist()]
        pick = int(Ward().select(pool, 1, rng(seed))[0])
        assert doubt[pick] == pytest.approx(max(doubt))
