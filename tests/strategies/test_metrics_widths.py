"""Expected half-widths: by hand, and against what simulated sites then get."""

import math

import numpy as np
import pytest
from scipy.special import expit

from protocol.sections import ClassName, Task
from strategies.metrics.combine import combine
from strategies.metrics.measure import measure
from strategies.metrics.table import METRICS
from strategies.metrics.widths import expected_half_width, hanley_mcneil

TASK = Task(classes=tuple(ClassName(name=n, definition="as it says") for n in ("no", "yes")))


def test_hanley_and_mcneil_by_hand():
    # A = 0.9: Q1 = 0.9 / 1.1, Q2 = 1.62 / 1.9
    expected = (0.09 + 49 * (0.9 / 1.1 - 0.81) + 99 * (1.62 / 1.9 - 0.81)) / 5000
    assert hanley_mcneil(0.9, 50, 100) == pytest.approx(expected)
    half = 1.959964 * math.sqrt(expected)
    assert expected_half_width(50, 100)["auroc"] == pytest.approx(half)


@pytest.mark.slow
def test_widths_are_those_that_simulated_sites_get():
    pos, neg, d = 150, 350, math.sqrt(2) * 1.2815516
    truth = np.r_[np.ones(pos), np.zeros(neg)].astype(int)
    found = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        score = rng.normal(size=pos + neg) + d * truth
        p = expit(d * score - d**2 / 2 + math.log(pos / neg))
        site = np.c_[1 - p, p], np.c_[1 - truth, truth], np.arange(pos + neg)
        evaluation = measure(*site, TASK, clustered=True, unsettled=0, rng=rng)
        results = combine({"a": evaluation}, TASK)
        found.append({n: (i.high - i.low) / 2 for n, i in results.pooled.items()})
    expected = expected_half_width(pos, neg)
    # Hanley and McNeil's scores are exponential: somewhat wider than normal ones
    slack = {"auroc": 0.25, "sensitivity": 0.2, "balanced_accuracy": 0.2}
    for name in ("auroc", "sensitivity", "balanced_accuracy", "brier", "log_loss"):
        mean = np.mean([f[name] for f in found])
        assert expected[name] == pytest.approx(mean, rel=slack.get(name, 0.1)), name


@pytest.mark.parametrize("name", ["auroc", "sensitivity", "balanced_accuracy", "brier", "log_loss"])
def test_four_times_the_cases_halve_the_width(name):
    one, four = expected_half_width(100, 300), expected_half_width(400, 1200)
    assert four[name] == pytest.approx(one[name] / 2, rel=0.02)


def test_few_cases_give_only_the_losses():
    few = expected_half_width(4, 100)
    assert set(few) == set(METRICS)
    assert {n for n, w in few.items() if math.isfinite(w)} == {"brier", "log_loss"}
    assert all(math.isnan(w) for w in expected_half_width(0, 0).values())


def test_impossible_plans_are_refused():
    with pytest.raises(ValueError, match="accepted is 0 or more"):
        expected_half_width(-1, 5)
    with pytest.raises(ValueError, match="accepted is within"):
        expected_half_width(50, 50, auroc=0.4)
