"""The server's numbers: pooled, macro, worst, each site's, their JSON, and what is refused."""

import dataclasses
import json
import math

import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn.metrics import roc_auc_score

from protocol.sections import ClassName, Task
from strategies.metrics.combine import as_json, combine, from_json
from strategies.metrics.intervals import Value, interval, macro, worst
from strategies.metrics.measure import measure
from strategies.metrics.sums import square, triangle
from strategies.metrics.table import METRICS
from strategies.pool import NotFinite

CLASSES = tuple(
    ClassName(name=n, definition="as it says") for n in ("normal", "pneumonia", "other")
)
TASK = Task(classes=CLASSES[:2])
TASKS = {
    "binary": TASK,
    "three": Task(classes=CLASSES),
    "multi-label": Task(kind="multi-label", classes=CLASSES),
}


def a_site(seed, n=200, shift=1.8, task=TASK, patients=None):
    rng = np.random.default_rng(seed)
    c = len(task.classes)
    if task.multi_label:
        targets = (rng.random((n, c)) < 0.4).astype(int)
        probs = expit(rng.normal(size=(n, c)) + shift * (targets - 0.5))
    else:
        targets = np.eye(c, dtype=int)[rng.integers(c, size=n)]
        probs = softmax(rng.normal(size=(n, c)) * 0.7 + shift * targets, axis=1)
    return probs, targets, rng.integers(patients or n, size=n)


def evaluate(site, task=TASK, **more):
    given = {"clustered": True, "unsettled": 0, "rng": np.random.default_rng(0)} | more
    return measure(*site, task, **given)


def test_sites_of_one_patient_never_look_certain():
    """One patient shows no spread: alone there is no interval, beside others it varies as they."""
    alone = {f"s{i}": evaluate(a_site(i, n=1)) for i in range(30)}
    brier = combine(alone, TASK).pooled["brier"]
    assert math.isfinite(brier.estimate)
    assert math.isnan(brier.low)
    assert math.isnan(brier.high)

    def error(sites):  # of the log-loss, whose interval is symmetric on the logarithm
        found = combine(sites, TASK).pooled["log_loss"]
        return found.estimate * math.log(found.high / found.estimate)

    big = {"big": evaluate((*a_site(9, n=20)[:2], np.arange(20)))}
    assert error(big | alone) == pytest.approx(error(big) * math.sqrt(20 / 50), rel=1e-6)


@pytest.mark.parametrize("kind", TASKS)
def test_pooled_is_close_to_the_exact_metrics_of_all_cases(kind):
    task = TASKS[kind]
    sites = [a_site(seed, n=150 + 50 * seed, task=task) for seed in range(4)]
    together = [np.concatenate([s[i] for s in sites]) for i in range(2)]
    exact = evaluate((*together, np.arange(len(together[0]))), task).estimates
    pooled = combine({f"s{i}": evaluate(s, task) for i, s in enumerate(sites)}, task).pooled
    slack = {"auroc": 0.002, "auprc": 0.01, "sensitivity": 0.03}
    for name in METRICS:
        assert pooled[name].estimate == pytest.approx(exact[name], abs=slack.get(name, 1e-9)), name
        assert pooled[name].low < pooled[name].estimate < pooled[name].high, name


def test_a_triangle_is_the_matrix_that_it_was_made_of():
    matrix = np.array([[4.0, -1.0, 0.5], [-1.0, 9.0, 2.0], [0.5, 2.0, 1.0]])
    upper = triangle(matrix)
    assert (upper.dtype, upper.tolist()) == (np.float32, [4.0, -1.0, 0.5, 9.0, 2.0, 1.0])
    np.testing.assert_array_equal(square(upper), matrix)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "shift", "patients"), [(40, 1.8, None), (2000, 4.0, 500)])
@pytest.mark.parametrize("kind", TASKS)
def test_rounding_the_covariance_moves_no_interval(kind, n, shift, patients, monkeypatch):
    task = TASKS[kind]
    sites = {f"s{i}": a_site(i, n, shift, task, patients) for i in range(3)}
    rounded = combine({name: evaluate(site, task) for name, site in sites.items()}, task)
    exact = "strategies.metrics.measure.triangle"
    monkeypatch.setattr(exact, lambda c: c[np.triu_indices(len(c))])
    whole = combine({name: evaluate(site, task) for name, site in sites.items()}, task)
    for part in ("pooled", "macro", "worst"):
        for name in METRICS:
            one, two = getattr(rounded, part)[name], getattr(whole, part)[name]
            assert one.estimate == pytest.approx(two.estimate, rel=1e-12, nan_ok=True), (part, name)
            for end in ("low", "high"):
                expected = pytest.approx(getattr(two, end), rel=1e-5, nan_ok=True)
                assert getattr(one, end) == expected, (part, name, end)


def test_one_site_is_its_own_macro_and_worst():
    results = combine({"only": evaluate(a_site(0))}, TASK)
    for name in METRICS:
        for part in (results.macro, results.worst):
            assert part[name].estimate == results.sites["only"][name].estimate
            assert part[name].low == pytest.approx(results.sites["only"][name].low)
            assert part[name].high == pytest.approx(results.sites["only"][name].high)


def test_delta_intervals_are_as_wide_as_the_sites_bootstrap():
    results = combine({"only": evaluate(a_site(1, n=1500, patients=700))}, TASK)
    for name in METRICS:
        pooled, own = results.pooled[name], results.sites["only"][name]
        assert pooled.high - pooled.low == pytest.approx(own.high - own.low, rel=0.25), name


def test_counts_add_up_and_one_unclustered_site_shows():
    sites = {
        "a": evaluate(a_site(0, patients=90), unsettled=2),
        "b": evaluate(a_site(1, n=50), unsettled=3, clustered=False),
    }
    results = combine(sites, TASK)
    assert (results.cases, results.unsettled) == (250, 5)
    assert results.patients == sites["a"].patients + sites["b"].patients
    assert not results.clustered
    assert combine({"a": sites["a"]}, TASK).clustered


def test_order_of_sites_does_not_matter_to_the_bit():
    sites = {name: evaluate(a_site(i)) for i, name in enumerate("cab")}
    backwards = dict(sorted(sites.items(), reverse=True))
    assert as_json(combine(sites, TASK)) == as_json(combine(backwards, TASK))


def test_small_sites_count_in_pooled_and_not_in_macro():
    sites = {f"s{i}": evaluate(a_site(i, n=14)) for i in range(4)}
    results = combine(sites, TASK)
    assert math.isfinite(results.pooled["auroc"].estimate)
    assert math.isnan(results.macro["auroc"].estimate)
    assert math.isnan(results.worst["auroc"].high)
    assert math.isnan(results.sites["s0"]["auroc"].estimate)
    assert math.isfinite(results.macro["log_loss"].estimate)
    sites["large"] = evaluate(a_site(9))
    assert combine(sites, TASK).macro["auroc"].estimate == sites["large"].estimates["auroc"]


@pytest.mark.parametrize("sites", [{}, {"empty": evaluate(a_site(0, n=0, patients=1))}])
def test_nothing_measured_is_an_outcome(sites):
    results = combine(sites, TASK)
    assert results.cases == 0
    for part in (results.pooled, results.macro, results.worst, *results.sites.values()):
        assert all(math.isnan(i.estimate) and math.isnan(i.low) for i in part.values())


def test_an_empty_site_changes_nothing():
    one = {"a": evaluate(a_site(0))}
    two = one | {"empty": evaluate(a_site(0, n=0, patients=1))}
    assert as_json(combine(one, TASK))["pooled"] == as_json(combine(two, TASK))["pooled"]
    assert as_json(combine(one, TASK))["macro"] == as_json(combine(two, TASK))["macro"]


@pytest.mark.parametrize("name", METRICS)
def test_worst_is_the_site_that_people_would_name(name):
    sites = {f"s{i}": evaluate(a_site(i, shift=1.0 + i)) for i in range(3)}
    values = [e.estimates[name] for e in sites.values()]
    expected = min(values) if METRICS[name].higher_is_better else max(values)
    found = combine(sites, TASK).worst[name]
    assert found.estimate == expected
    assert found.low < found.estimate < found.high


def test_worst_interval_is_wider_upwards_than_the_site_itself():
    sites = [Value(0.8, 0.002, 1.0, 50), Value(0.82, 0.002, 1.0, 50)]
    own, found = interval(sites[0]), worst(sites, higher_is_better=True)
    assert found.low == own.low
    assert found.high > own.high
    mirrored = worst([Value(0.2, 0.002, 1, 50), Value(0.18, 0.002, 1, 50)], higher_is_better=False)
    assert (mirrored.low, mirrored.high) == pytest.approx((1 - found.high, 1 - found.low))


def test_macro_by_hand():
    got = macro([Value(0.6, 0.01, math.inf, 0), Value(0.4, 0.03, math.inf, 0)])
    factor = math.exp(1.959964 * math.sqrt(0.04) / 2 / 0.5)
    assert dataclasses.astuple(got) == pytest.approx((0.5, 0.5 / factor, 0.5 * factor))


def test_a_perfect_score_keeps_a_lower_bound_below_one():
    got = interval(Value(1.0, 0.0, 1.0, 20))
    assert got.estimate == got.high == 1
    assert got.low == pytest.approx(20 / (20 + 1.959964**2))  # Wilson
    none = interval(Value(0.0, 0.0, 4.0, 20))  # expected cost, at most 4
    assert none.low == 0
    assert none.high == pytest.approx(4 * (1 - got.low))


@pytest.mark.parametrize("top", [1.0, math.inf])
def test_bounds_stay_in_range_whatever_the_variance(top):
    got = interval(Value(1e-9, 50.0, top, 0))
    assert 0 <= got.low <= got.estimate <= got.high <= top


def test_calibration_error_of_a_calibrated_model_is_not_ruled_out_to_be_zero():
    rng = np.random.default_rng(3)
    positive = rng.uniform(0.05, 0.95, size=150)
    truth = (rng.random(150) < positive).astype(int)
    site = np.c_[1 - positive, positive], np.c_[1 - truth, truth], np.arange(150)
    results = combine({"a": evaluate(site)}, TASK)
    assert results.pooled["ece"].estimate > 0.05  # noise alone
    assert results.pooled["ece"].low == 0
    assert results.sites["a"]["ece"].low == 0


def test_json_round_trip_with_what_is_not_estimable():
    results = combine({"a": evaluate(a_site(0)), "small": evaluate(a_site(1, n=10))}, TASK)
    text = json.dumps(as_json(results), allow_nan=False)
    assert json.loads(text)["sites"]["small"]["auroc"] == [None, None, None]
    again = from_json(json.loads(text))
    assert as_json(again) == as_json(results)
    assert again.pooled == results.pooled
    assert again.clustered is results.clustered


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"extra": 1}, "results hold"),
        ({"cases": "3"}, "results count"),
        ({"patients": -1}, "results count"),
        ({"unsettled": True}, "results count"),
        ({"clustered": None}, "results say clustered = None"),
        ({"macro": None}, "macro: NoneType where values by name"),
        ({"macro": {"auroc": [0.5, 0.6]}}, r"macro: auroc is \[0.5, 0.6\]; accepted is \[estimate"),
        ({"macro": {"auroc": ["a", "b", "c"]}}, "macro: auroc is"),
        ({"macro": {"auroc": [0.5, 0.4, math.inf]}}, "macro: auroc is"),
        ({"macro": {"auroc": [0.5, False, True]}}, "macro: auroc is"),
        ({"bounds": {"accuracy": None}}, "bounds: accuracy is None"),
        ({"sites": []}, "sites: list where values by name"),
        ({"sites": {"site-01": 3}}, "site-01: int where values by name"),
    ],
)
def test_json_of_another_shape_is_refused(change, says):
    plain = as_json(combine({}, TASK))
    from_json(plain)
    with pytest.raises(ValueError, match=says):
        from_json(plain | change)


def test_no_json_object_is_refused():
    with pytest.raises(ValueError, match="results: list where values by name are accepted"):
        from_json([])


def test_bad_evaluations_are_refused():
    good = evaluate(a_site(0))
    with pytest.raises(ValueError, match="accepted for this task"):
        combine({"a": good}, TASKS["three"])
    broken = dataclasses.replace(good, sums=np.full_like(good.sums, np.nan))
    with pytest.raises(NotFinite, match="sums hold"):
        combine({"a": broken}, TASK)
    less = dataclasses.replace(good, estimates={"auroc": 0.5})
    with pytest.raises(ValueError, match="estimates are"):
        combine({"a": less}, TASK)


@pytest.mark.parametrize("name", METRICS)
def test_metrics_are_told_to_people(name):
    metric = METRICS[name]
    assert metric.label
    assert 20 < len(metric.explanation) < 110
    assert "\n" not in metric.explanation


def test_perfectly_separated_sites_have_auroc_one():
    positive = np.r_[np.full(30, 0.9), np.full(30, 0.1)]
    truth = np.r_[np.ones(30), np.zeros(30)].astype(int)
    site = np.c_[1 - positive, positive], np.c_[1 - truth, truth], np.arange(60)
    pooled = combine({"a": evaluate(site)}, TASK).pooled
    assert roc_auc_score(truth, positive) == pooled["auroc"].estimate == 1
    assert 0.8 < pooled["auroc"].low < 0.95
    assert pooled["auprc"].estimate == pytest.approx(1)
