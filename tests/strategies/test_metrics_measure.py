"""What a site measures: sums, covariance, estimates, variances, and what is refused."""

import math

import numpy as np
import pytest
from scipy.special import expit, softmax
from scipy.stats import rankdata
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    confusion_matrix,
    log_loss,
    roc_auc_score,
    roc_curve,
)

from protocol.sections import ClassName, Task
from strategies.metrics import contributions, sums
from strategies.metrics.measure import measure
from strategies.metrics.sums import BINS, layout, square
from strategies.metrics.table import METRICS
from strategies.metrics.totals import from_sums
from strategies.pool import NotFinite

KINDS = ("binary", "three", "multi-label")
ALWAYS = {"brier", "log_loss"}


def a_task(kind, **more):
    names = {"binary": 2, "three": 3, "multi-label": 4}[kind]
    classes = tuple(ClassName(name=f"class {i}", definition="as it says") for i in range(names))
    label = "multi-label" if kind == "multi-label" else "single-label"
    return Task(kind=label, classes=classes, **more)


def a_site(kind, seed, n=300, patients=150):
    """Probabilities, targets and patients of one site."""
    rng = np.random.default_rng(seed)
    c = {"binary": 2, "three": 3, "multi-label": 4}[kind]
    patient = rng.integers(patients, size=n)
    if kind == "multi-label":
        targets = (rng.random((n, c)) < 0.3).astype(int)
        return expit(rng.normal(size=(n, c)) + 2 * targets - 1.5), targets, patient
    share = [0.7, 0.3] if c == 2 else [0.5, 0.3, 0.2]
    targets = np.eye(c, dtype=int)[rng.choice(c, size=n, p=share)]
    return softmax(rng.normal(size=(n, c)) + 1.5 * targets, axis=1), targets, patient


def run(kind, site, seed=0, task=None, **more):
    task = task or a_task(kind)
    rng = np.random.default_rng(seed)
    return measure(*site, task, **{"clustered": True, "unsettled": 0, "rng": rng} | more)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_estimates_equal_scikit_learn(kind, seed):
    probs, targets, _ = site = a_site(kind, seed)
    got = run(kind, site).estimates
    scored = list(layout(a_task(kind)).scored)
    truth, score = targets[:, scored], probs[:, scored]
    assert got["auroc"] == pytest.approx(roc_auc_score(truth, score))
    assert got["auprc"] == pytest.approx(average_precision_score(truth, score))
    if kind == "multi-label":
        pairs = [(truth[:, k], score[:, k]) for k in range(4)]
        loss = np.mean([log_loss(t, s) for t, s in pairs])
        brier = np.mean([brier_score_loss(t, s) for t, s in pairs])
        accuracy = np.mean([balanced_accuracy_score(t, s > 0.5) for t, s in pairs])
    else:
        cases = targets.argmax(1)
        loss = log_loss(cases, probs)
        brier = brier_score_loss(targets, probs, scale_by_half=True)
        accuracy = balanced_accuracy_score(cases, probs.argmax(1))
    assert got["log_loss"] == pytest.approx(loss)
    assert got["brier"] == pytest.approx(brier)
    assert got["balanced_accuracy"] == pytest.approx(accuracy)


def test_calibration_error_by_hand():
    # confidences 0.9 x 10 of which 7 right, 0.6 x 10 of which 6 right: 0.5 * 0.2 + 0.5 * 0
    positive = np.r_[np.full(10, 0.9), np.full(10, 0.6)]
    truth = np.r_[np.ones(7), np.zeros(3), np.ones(6), np.zeros(4)].astype(int)
    site = np.c_[1 - positive, positive], np.c_[1 - truth, truth], np.arange(20)
    assert run("binary", site).estimates["ece"] == pytest.approx(0.1)


def test_expected_cost_and_decision_follow_the_cost_matrix():
    task = a_task("binary", cost=((0.0, 1.0), (4.0, 0.0)))  # a miss costs four false alarms
    positive = np.array([0.1, 0.19, 0.21, 0.9])
    probs = np.c_[1 - positive, positive]
    assert sums.decide(probs, task).tolist() == [0, 0, 1, 1]  # the threshold is 1 / (1 + 4)
    targets = np.eye(2, dtype=int)[[0, 1, 0, 1]]
    many = np.tile(probs, (5, 1)), np.tile(targets, (5, 1)), np.arange(20)  # under 20: NaN
    got = run("binary", many, task=task).estimates
    assert got["expected_cost"] == pytest.approx((0 + 4 + 1 + 0) / 4)


def test_multi_label_decides_each_class():
    task = a_task("multi-label", cost=((0.0, 1.0), (3.0, 0.0)))
    decided = sums.decide(np.array([[0.2, 0.3, 0.24, 0.26]]), task)
    assert decided.tolist() == [[0, 1, 0, 1]]


@pytest.mark.parametrize("kind", KINDS)
def test_sums_hold_the_counts(kind):
    task, (probs, targets, _) = a_task(kind), a_site(kind, 5)
    vector = run(kind, a_site(kind, 5)).sums
    where = layout(task)
    assert vector.shape == (where.size,)
    scored = list(where.scored)
    assert sums.positives(vector, where).sum(axis=1).tolist() == targets[:, scored].sum(0).tolist()
    assert (
        sums.negatives(vector, where).sum() == len(probs) * len(scored) - targets[:, scored].sum()
    )
    assert sums.totals(vector, where)[0] == len(probs)
    table = sums.confusion(vector, where)
    if kind == "multi-label":
        assert table[1].tolist() == confusion_matrix(targets[:, 1], probs[:, 1] > 0.5).tolist()
    else:
        assert table.tolist() == confusion_matrix(targets.argmax(1), probs.argmax(1)).tolist()
    answers = len(probs) * (4 if kind == "multi-label" else 1)
    assert sums.calibration(vector, where)[:, 0].sum() == answers


@pytest.mark.parametrize(("p", "expected"), [(0.0, 0), (1.0, BINS - 1), (0.5, BINS // 2)])
def test_bins_have_open_ends(p, expected):
    where = layout(a_task("binary"))
    site = np.array([[1 - p, p]]), np.array([[0, 1]]), np.array([7])
    assert sums.positives(run("binary", site).sums, where)[0].argmax() == expected


@pytest.mark.parametrize("kind", KINDS)
def test_sums_add_up_over_sites(kind):
    one, two = a_site(kind, 1), a_site(kind, 2, n=77)
    both = [np.concatenate([a, b]) for a, b in zip(one, two, strict=True)]
    both[2] = np.r_[one[2], two[2] + 10_000]  # no patient at two sites
    first, second, together = (run(kind, site) for site in (one, two, both))
    np.testing.assert_allclose(first.sums + second.sums, together.sums, rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_covariance_is_that_of_the_bootstrap_of_patients(kind):
    probs, targets, patients = site = a_site(kind, 3, n=60, patients=25)
    evaluation = run(kind, site)
    _, index = np.unique(patients, return_inverse=True)
    totals = contributions.by_patient(probs, targets, index, a_task(kind)).toarray()
    count = len(totals)
    times = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=20_000)
    drawn = np.cov(times @ totals, rowvar=False, bias=True)
    scale = np.sqrt(np.outer(np.diag(drawn), np.diag(drawn))) + 1e-12
    assert np.abs((square(evaluation.covariance) - drawn) / scale).max() < 0.06


@pytest.mark.slow
def test_variances_are_those_of_a_large_bootstrap():
    probs, targets, patients = site = a_site("binary", 4, n=150, patients=80)
    evaluation = run("binary", site)
    rng = np.random.default_rng(1)
    distinct = np.unique(patients)
    rows = {p: np.flatnonzero(patients == p) for p in distinct}
    drawn = []
    for _ in range(1500):
        chosen = np.concatenate([rows[p] for p in rng.choice(distinct, len(distinct))])
        truth, ranks = targets[chosen, 1], rankdata(probs[chosen, 1])
        pos = truth.sum()
        above = ranks[truth == 1].sum() - pos * (pos + 1) / 2
        drawn.append(above / pos / (len(truth) - pos))
    assert evaluation.variances["auroc"] ** 0.5 == pytest.approx(np.std(drawn), rel=0.15)


def test_several_images_of_a_patient_widen_the_interval():
    probs, targets, _ = a_site("binary", 6, n=100)
    copies = [np.repeat(a, 3, axis=0) for a in (probs, targets)]
    apart = run("binary", (*copies, np.arange(300)))
    together = run("binary", (*copies, np.repeat(np.arange(100), 3)))
    for name in METRICS:
        assert together.estimates[name] == pytest.approx(apart.estimates[name]), name
        assert together.variances[name] > 2 * apart.variances[name], name
    three, one = (np.trace(square(e.covariance)) for e in (together, apart))
    assert three == pytest.approx(3 * one, rel=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_order_of_cases_and_names_of_patients_do_not_matter(kind):
    probs, targets, patients = site = a_site(kind, 7)
    order = np.random.default_rng(0).permutation(len(probs))
    one = run(kind, site)
    two = run(kind, (probs[order], targets[order], patients[order] * 3 - 50))
    np.testing.assert_allclose(one.sums, two.sums, rtol=1e-12)
    np.testing.assert_allclose(one.covariance, two.covariance, rtol=1e-6, atol=1e-6)
    for name in METRICS:
        assert one.estimates[name] == pytest.approx(two.estimates[name])
        assert one.variances[name] == pytest.approx(two.variances[name])


def test_same_generator_same_bits():
    site = a_site("three", 8)
    once = run("three", site)
    assert once.variances == run("three", site).variances
    assert once.variances != run("three", site, seed=1).variances


@pytest.mark.parametrize(
    ("pos", "neg", "estimable"),
    [(5, 15, True), (15, 5, True), (4, 40, False), (40, 4, False), (9, 10, False), (0, 30, False)],
)
def test_which_metrics_are_estimable(pos, neg, estimable):
    rng = np.random.default_rng(0)
    truth = np.r_[np.ones(pos), np.zeros(neg)].astype(int)
    positive = expit(rng.normal(size=pos + neg))
    got = run(
        "binary", (np.c_[1 - positive, positive], np.c_[1 - truth, truth], np.arange(pos + neg))
    )
    for name in METRICS:
        expected = estimable or name in ALWAYS
        assert math.isfinite(got.estimates[name]) == expected, name
        assert math.isfinite(got.variances[name]) == expected, name


def test_a_rare_class_leaves_the_mean_over_classes_not_estimable():
    probs, targets, patients = a_site("three", 9, n=100)
    targets = np.eye(3, dtype=int)[np.r_[np.zeros(50), np.ones(46), np.full(4, 2)].astype(int)]
    got = run("three", (probs, targets, patients)).estimates
    assert math.isnan(got["auroc"])
    assert math.isfinite(got["log_loss"])


@pytest.mark.parametrize("kind", KINDS)
def test_no_case_and_one_patient_are_outcomes(kind):
    nothing = run(kind, a_site(kind, 0, n=0, patients=1), unsettled=3)
    assert (nothing.cases, nothing.patients, nothing.unsettled) == (0, 0, 3)
    assert not nothing.sums.any()
    assert not nothing.covariance.any()
    assert all(math.isnan(v) for v in nothing.estimates.values())
    probs, targets, _ = a_site(kind, 0, n=30)
    one = run(kind, (probs, targets, np.zeros(30, dtype=int)))
    assert math.isfinite(one.estimates["brier"])
    assert all(math.isnan(v) for v in one.variances.values())


def test_float32_probabilities_and_certainty_are_measured():
    probs = np.array([[0, 1], [1, 0]] * 15, dtype=np.float32)
    targets = np.array([[0, 1], [0, 1]] * 15)
    got = run("binary", (probs, targets, np.arange(30))).estimates
    assert got["log_loss"] == pytest.approx(-math.log(1e-7) / 2, rel=1e-6)


def broken(**changes):
    probs, targets, patients = a_site("binary", 0, n=6)
    return tuple({"probs": probs, "targets": targets, "patients": patients, **changes}.values())


@pytest.mark.parametrize(
    ("site", "words"),
    [
        (broken(probs=np.full((6, 2), np.nan)), "12 values that are not finite"),
        (broken(probs=np.full((6, 3), 1 / 3)), "shape"),
        (broken(probs=np.tile([1.5, -0.5], (6, 1))), "within"),
        (broken(probs=np.full((6, 2), 0.4)), "sum to 1"),
        (broken(targets=np.full((6, 2), 0.5)), "other than 0 and 1"),
        (broken(targets=np.ones((6, 2), dtype=int)), "no or several"),
        (broken(patients=np.arange(6.0)), "integers"),
        (broken(patients=np.arange(5)), "shape"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(site, words):
    with pytest.raises(ValueError, match=words) as error:
        run("binary", site)
    assert "accepted" in str(error.value)
    assert "\n" not in str(error.value)


def test_not_finite_is_its_own_error():
    with pytest.raises(NotFinite):
        run("binary", broken(probs=np.full((6, 2), np.inf)))


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 2.0, 3.0])  # hardly sure, calibrated, too sure
@pytest.mark.parametrize("distance", [1.0, 1.8, 2.6])  # AUROC 0.76, 0.90, 0.97
@pytest.mark.parametrize("prevalence", [0.05, 0.4])
def test_bins_change_the_auroc_by_less_than_0_002(distance, sharpness, prevalence):
    rng = np.random.default_rng(0)
    truth = (rng.random(10_000) < prevalence).astype(int)
    score = rng.normal(size=10_000) + distance * truth
    logit = distance * score - distance**2 / 2 + math.log(prevalence / (1 - prevalence))
    positive = expit(sharpness * logit)
    task = a_task("binary")
    site = np.c_[1 - positive, positive], np.c_[1 - truth, truth], np.arange(10_000)
    vector = np.asarray(contributions.by_patient(*site, task).sum(axis=0))
    binned = from_sums(vector, layout(task), task)
    assert binned["auroc"] == pytest.approx(roc_auc_score(truth, positive), abs=0.002)
    assert binned["auprc"] == pytest.approx(average_precision_score(truth, positive), abs=0.005)
    false, found, _ = roc_curve(truth, positive)
    assert binned["sensitivity"] == pytest.approx(np.interp(0.1, false, found), abs=0.012)
