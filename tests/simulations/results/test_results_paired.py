from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata, ttest_1samp, wilcoxon

from simulations.results.paired import (
    Paired,
    correct,
    hodges_lehmann,
    holm,
    mean_interval,
    pair,
    sign_test,
    smallest_p,
    wilcoxon_test,
)

# whole tenths: many ties and zeros
TENTHS = st.lists(st.integers(-4, 4).map(lambda i: i / 10), min_size=1, max_size=9)


def enumerated(differences: list[float], rank: bool) -> float:
    """The two-sided p over all signs of the differences that are not zero."""
    kept = np.array([d for d in differences if d != 0])
    if not kept.size:
        return 1.0
    weights = rankdata(np.abs(kept).round(9)) if rank else np.ones(kept.size)
    observed = weights[kept > 0].sum()
    sums = np.array([weights[list(s)].sum() for s in product([False, True], repeat=kept.size)])
    return float(min(1.0, 2 * min((sums <= observed).mean(), (sums >= observed).mean())))


@pytest.mark.slow
@given(TENTHS)
@settings(deadline=None, max_examples=60)
def test_p_values_equal_the_enumeration_of_all_signs(differences: list[float]) -> None:
    assert sign_test(differences) == pytest.approx(enumerated(differences, rank=False))
    assert wilcoxon_test(differences) == pytest.approx(enumerated(differences, rank=True))


@pytest.mark.slow
@given(st.lists(st.integers(-500, 500).filter(bool), min_size=2, max_size=20, unique_by=abs))
@settings(deadline=None, max_examples=40)
def test_without_ties_wilcoxon_equals_scipy(values: list[int]) -> None:
    expected = wilcoxon(values, method="exact").pvalue
    assert wilcoxon_test([float(v) for v in values]) == pytest.approx(expected)


def test_known_p_values() -> None:
    assert wilcoxon_test([1, 2, 3, 4, 5, 6]) == pytest.approx(0.03125)
    assert wilcoxon_test([1, 2, 3, 4, 5, -6]) == pytest.approx(2 * 14 / 64)
    assert sign_test([1, 1, 1, 1, 1, -1]) == pytest.approx(2 * 7 / 64)
    assert sign_test([0.0, 0.0]) == wilcoxon_test([0.0, 0.0]) == 1.0


def test_rounding_of_equal_differences_is_a_tie() -> None:
    assert wilcoxon_test([0.3 - 0.2, -(0.2 - 0.1), 0.5]) == pytest.approx(
        enumerated([0.1, -0.1, 0.5], rank=True)
    )


@pytest.mark.parametrize(("n", "p"), [(1, 1.0), (3, 0.25), (5, 0.0625), (6, 0.03125)])
def test_the_smallest_p_is_attained(n: int, p: float) -> None:
    assert smallest_p(n) == p
    assert wilcoxon_test(list(range(1, n + 1))) == sign_test([1.0] * n) == pytest.approx(p)


def test_hodges_lehmann_by_hand() -> None:
    # means of pairs of 1, 2, 6: 1, 1.5, 2, 3.5, 4, 6
    shift, interval, coverage = hodges_lehmann([1.0, 2.0, 6.0])
    assert (shift, interval, coverage) == (2.75, (1.0, 6.0), 0.75)


def test_the_hodges_lehmann_interval_covers_what_it_says() -> None:
    shift, interval, coverage = hodges_lehmann([float(v) for v in range(1, 11)])
    # n = 10: rank sums up to 8 have chance 25 / 1024, so the 9th mean from either end bounds it
    assert coverage == pytest.approx(1 - 2 * 25 / 1024)
    means = sorted((a + b) / 2 for a in range(1, 11) for b in range(a, 11))
    assert interval == (means[8], means[-9])
    assert shift == 5.5


@pytest.mark.slow
@given(st.lists(st.floats(-1, 1), min_size=6, max_size=15))
def test_hodges_lehmann_lies_in_its_interval(values: list[float]) -> None:
    shift, (low, high), coverage = hodges_lehmann(values)
    assert low <= shift <= high
    assert coverage >= 0.95


def test_the_mean_interval_is_students() -> None:
    values = [0.1, 0.4, 0.2, 0.3]
    expected = ttest_1samp(values, 0).confidence_interval(0.95)
    assert mean_interval(values) == pytest.approx((expected.low, expected.high))
    assert mean_interval([0.1]) is None


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx((0.03, 0.06, 0.06))
    assert holm([0.5, 0.9]) == pytest.approx((1.0, 1.0))
    assert holm([]) == ()


@pytest.mark.slow
@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_never_lowers_a_p_and_keeps_their_order(values: list[float]) -> None:
    found = holm(values)
    assert all(v <= c <= 1 for v, c in zip(values, found, strict=True))
    order = np.argsort(values, kind="stable")
    assert all(np.diff([found[i] for i in order]) >= 0)


def compared(differences: list[float], lower_is_better: bool = False) -> Paired:
    arm = dict(enumerate(differences))
    base = dict.fromkeys(arm, 0.0)
    found = pair(("a", "random"), "aubc", arm, base, lower_is_better)
    assert found is not None
    return found


@pytest.mark.parametrize(("pairs", "exploratory"), [(1, True), (5, True), (6, False)])
def test_exploratory_where_no_result_could_reject(pairs: int, exploratory: bool) -> None:
    assert compared([0.1 * i for i in range(1, pairs + 1)]).exploratory is exploratory


def test_pairs_without_a_difference_cannot_help_to_reject() -> None:
    found = compared([0.1, 0.2, 0.3, 0.4, 0.5, 0.0])
    assert (found.zeros, found.exploratory, found.smallest_p) == (1, True, 0.0625)


def test_wins_follow_the_metrics_direction_and_differences_do_not() -> None:
    up, down = compared([0.1, 0.1, -0.2]), compared([0.1, 0.1, -0.2], lower_is_better=True)
    assert (up.wins, up.losses, down.wins, down.losses) == (2, 1, 1, 2)
    assert up.differences == down.differences == (0.1, 0.1, -0.2)
    assert up.ties


def test_only_seeds_of_both_arms_are_paired() -> None:
    found = pair(("a", "b"), "aubc", {0: 1.0, 1: 2.0}, {1: 1.5, 2: 9.0})
    assert found is not None
    assert (found.seeds, found.differences, found.mean_interval) == ((1,), (0.5,), None)
    assert pair(("a", "b"), "aubc", {0: 1.0}, {1: 1.0}) is None


def test_correction_counts_the_arms() -> None:
    strong = compared([0.1 * i for i in range(1, 7)])
    one, three = correct([strong]), correct([strong] * 3)
    assert one[0].holm_p == pytest.approx(0.03125)
    assert three[0].holm_p == pytest.approx(0.09375)
    assert (one[0].seeds_needed, three[0].seeds_needed) == (6, 7)
