"""Rank metrics: by hand, against scikit-learn, and with weights."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from strategies.metrics import curves


def grouped(scores, truth, weights=None):
    weights = np.ones(len(scores)) if weights is None else weights
    distinct, group = np.unique(-np.asarray(scores), return_inverse=True)
    pos = np.bincount(group, weights * truth, minlength=len(distinct))
    neg = np.bincount(group, weights * (1 - truth), minlength=len(distinct))
    return curves.ranking(pos, neg)


def random_scores(seed, n=120, levels=None):
    rng = np.random.default_rng(seed)
    truth = (rng.random(n) < 0.3).astype(int)
    truth[:2] = 0, 1
    scores = rng.normal(size=n) + truth
    if levels:
        scores = np.round(scores * levels) / levels
    return scores, truth, rng.integers(0, 4, size=n).astype(float) + (np.arange(n) < 2)


def test_auroc_counts_ties_half():
    # pairs: 0.9>0.5, 0.9>0.1, 0.5=0.5 (half), 0.5>0.1 -> 3.5 of 4
    groups = grouped([0.9, 0.5, 0.5, 0.1], np.array([1, 1, 0, 0]))
    assert curves.auroc(groups) == pytest.approx(3.5 / 4)


def test_average_precision_by_hand():
    # positives at ranks 1 and 3: (1/1 + 2/3) / 2
    groups = grouped([0.9, 0.8, 0.7, 0.1], np.array([1, 0, 1, 0]))
    assert curves.average_precision(groups) == pytest.approx((1 + 2 / 3) / 2)


def test_sensitivity_by_hand():
    scores = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3]
    truth = np.array([1, 0, 1, 1, 0, 1, 0])
    groups = grouped(scores, truth)
    # a third of the negatives may be wrong: one; three of four positives stand above the second
    assert curves.sensitivity_at(groups, 2 / 3) == pytest.approx(3 / 4)
    # none may be wrong: only the topmost positive
    assert curves.sensitivity_at(groups, 0.999999) == pytest.approx(1 / 4, abs=1e-5)


def test_sensitivity_is_straight_between_tied_thresholds():
    groups = grouped([0.5, 0.5, 0.5, 0.5], np.array([1, 1, 0, 0]))
    assert curves.sensitivity_at(groups, 0.7) == pytest.approx(0.3)


@pytest.mark.parametrize("levels", [None, 2])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("weighted", [False, True])
def test_rank_metrics_equal_scikit_learn(seed, levels, weighted):
    scores, truth, weights = random_scores(seed, levels=levels)
    weights = weights if weighted else np.ones(len(scores))
    groups = grouped(scores, truth, weights)
    assert curves.auroc(groups) == pytest.approx(
        roc_auc_score(truth, scores, sample_weight=weights)
    )
    expected = average_precision_score(truth, scores, sample_weight=weights)
    assert curves.average_precision(groups) == pytest.approx(expected)
    keep = weights > 0
    false, found, _ = roc_curve(
        truth[keep], scores[keep], sample_weight=weights[keep], drop_intermediate=False
    )
    at = np.interp(0.1234, false, found)
    assert curves.sensitivity_at(groups, 1 - 0.1234) == pytest.approx(at)


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_auroc_mirrors_when_scores_are_negated(seed):
    scores, truth, weights = random_scores(seed, n=30, levels=3)
    up = curves.auroc(grouped(scores, truth, weights))
    down = curves.auroc(grouped(-scores, truth, weights))
    assert up + down == pytest.approx(1)


def test_stacked_replicates_equal_single_ones():
    rng = np.random.default_rng(0)
    pos, neg = rng.integers(0, 5, size=(2, 6, 3, 12)).astype(float)
    stacked = curves.ranking(pos, neg)
    single = curves.ranking(pos[4, 2], neg[4, 2])
    for metric in (curves.auroc, curves.average_precision, curves.mixed_average_precision):
        assert metric(stacked)[4, 2] == pytest.approx(metric(single))
    assert curves.sensitivity_at(stacked, 0.8)[4, 2] == pytest.approx(
        curves.sensitivity_at(single, 0.8)
    )


@pytest.mark.parametrize("empty", ["pos", "neg"])
def test_without_one_side_there_is_no_curve(empty):
    sides = {"pos": np.ones(3), "neg": np.ones(3)} | {empty: np.zeros(3)}
    groups = curves.ranking(**sides)
    assert np.isnan(curves.auroc(groups))
    assert np.isnan(curves.sensitivity_at(groups, 0.9))


@pytest.mark.slow
def test_mixed_average_precision_is_the_mean_over_orders_within_a_bin():
    rng = np.random.default_rng(1)
    pos, neg = np.array([12.0, 16, 8]), np.array([4.0, 20, 80])
    order_of_bins = np.repeat(np.arange(3), (pos + neg).astype(int))
    truth = np.concatenate([[1] * int(p) + [0] * int(n) for p, n in zip(pos, neg, strict=True)])
    drawn = [
        average_precision_score(truth, -(order_of_bins + 0.5 * rng.random(len(truth))))
        for _ in range(200)
    ]
    mixed = curves.mixed_average_precision(curves.ranking(pos, neg))
    assert mixed == pytest.approx(np.mean(drawn), abs=0.015)
    whole = curves.average_precision(curves.ranking(pos, neg))
    assert abs(whole - np.mean(drawn)) > 2 * abs(mixed - np.mean(drawn))


def test_mixed_average_precision_of_separated_bins_is_one():
    groups = curves.ranking(np.array([4.0, 3, 0, 0]), np.array([0.0, 0, 5, 2]))
    assert curves.mixed_average_precision(groups) == pytest.approx(1)


def test_binned_auroc_by_hand():
    # upwards: negatives 2, 1 and positives 1, 3
    groups = curves.ranking(np.array([3.0, 1]), np.array([1.0, 2]))
    midranks = (3 * 2 + 3 * 1 / 2 + 1 * 2 / 2) / 12
    assert curves.binned_auroc(groups) == pytest.approx(midranks + (2 * 3 - 1 * 1) / 12 / 12)
    assert curves.binned_auroc(curves.ranking(np.array([3.0, 0]), np.array([0.0, 2]))) == 1
