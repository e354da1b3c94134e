"""What the robust aggregators promise: one bad site in several does not decide."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from protocol.records import GlobalState, SiteUpdate
from protocol.study import StudyError, parse
from strategies.aggregation import (
    AGGREGATION,
    FedAvg,
    Median,
    MultiKrum,
    NormBound,
    TooFewUpdates,
    TrimmedMean,
)
from strategies.chosen import check_sites, decisions

ROBUST = sorted(n for n, row in AGGREGATION.items() if not row().streaming)


def of(*values: float) -> list[SiteUpdate]:
    return [update(f"s{i}", np.array([v])) for i, v in enumerate(values)]


def update(site: str, array: NDArray[Any], weight: float = 1.0) -> SiteUpdate:
    return SiteUpdate(site, {"w": array}, weight, loss=0.0, steps=1)


def value(aggregator: Any, updates: list[SiteUpdate], start: float = 0.0) -> float:
    return float(aggregator.step(GlobalState({"w": np.array([start])}), updates).arrays["w"][0])


def test_median_by_hand() -> None:
    assert value(Median(), of(1, 9, 2, 4, 3)) == 3
    assert value(Median(), of(1, 2, 4, 9)) == 3


def test_trimmed_mean_by_hand() -> None:
    assert value(TrimmedMean(0.2), of(-100, 1, 2, 6, 50)) == 3
    assert value(TrimmedMean(0.25), of(-9, 1, 3, 7)) == 2  # one at each end


def test_trimmed_mean_rounds_the_share_up_and_leaves_some() -> None:
    assert value(TrimmedMean(0.2), of(0, 1, 5, 1000, 1001, 2000)) == 502.5  # 2 at each end of 6
    assert value(TrimmedMean(0.4), of(0, 1, 5, 9, 9)) == 5
    assert value(TrimmedMean(0.4), of(0, 1, 3, 4, 9, 9)) == 3.5  # 3 at each end would leave none
    with pytest.raises(TooFewUpdates, match="4 sites have trained"):
        value(TrimmedMean(0.4), of(0, 1, 2, 3))


def test_multi_krum_by_hand() -> None:
    """n = 5, f = 1: the score is the sum over the 2 nearest."""
    changes = np.array([[0.0], [1.0], [3.0], [6.0], [50.0]])
    # scores 0: 1+9, 1: 1+4, 2: 4+9, 3: 9+25, 4: 44^2+47^2
    assert MultiKrum(keep=1).chosen(changes).tolist() == [1]
    assert MultiKrum(keep=3).chosen(changes).tolist() == [0, 1, 2]
    assert MultiKrum().chosen(changes).tolist() == [0, 1, 2, 3]
    assert value(MultiKrum(), of(0, 1, 3, 6, 50)) == 2.5


def test_norm_bound_by_hand() -> None:
    updates = [update("a", np.array([3.0, 4.0])), update("b", np.array([0.0, 10.0])),
               update("c", np.array([0.0, 1000.0]))]  # fmt: skip
    state = GlobalState({"w": np.zeros(2)})
    after = NormBound().step(state, updates).arrays["w"]  # lengths 5, 10, 1000: the median is 10
    assert after == pytest.approx([1.0, 8.0])
    doubled = NormBound(times=2.0).step(state, updates).arrays["w"]
    assert doubled == pytest.approx([1.0, 34 / 3])


def test_norm_bound_caps_the_weight_that_a_site_claims() -> None:
    heavy = [update("a", np.array([0.0]), 1e9), *of(3, 3)]
    assert value(NormBound(), heavy, start=1.5) == pytest.approx(2.0)


@pytest.mark.parametrize("name", ROBUST)
@pytest.mark.parametrize("bad", [1e30, -1e30, 1e6])
def test_one_site_of_seven_does_not_decide(name: str, bad: float) -> None:
    rng = np.random.default_rng(0)
    honest = [update(f"s{i}", 1 + 0.1 * rng.normal(size=50)) for i in range(6)]
    evil = update("evil", np.full(50, bad), 1e6)
    state = GlobalState({"w": np.zeros(50)})
    after = AGGREGATION[name]().step(state, [*honest, evil]).arrays["w"]
    clean = FedAvg().step(state, honest).arrays["w"]
    # norm bounding lets the direction through at an honest site's length: 1/7 of the way
    assert np.abs(after - clean).max() < (0.5 if name == "norm-bound" else 0.3)
    assert np.abs(FedAvg().step(state, [*honest, evil]).arrays["w"] - clean).max() > 1e5


@settings(deadline=None)
@given(st.lists(st.floats(-1e3, 1e3), min_size=5, max_size=9), st.floats(-1e12, 1e12))
def test_the_result_stays_among_the_honest(values: list[float], bad: float) -> None:
    for aggregator in (Median(), TrimmedMean()):
        got = value(aggregator, of(*values, bad))
        assert min(values) - 1e-9 <= got <= max(values) + 1e-9


@pytest.mark.parametrize("name", ROBUST)
def test_too_few_are_refused(name: str) -> None:
    aggregator = AGGREGATION[name]()
    few = of(*range(aggregator.least_sites - 1))
    with pytest.raises(TooFewUpdates, match=r"sites have trained; accepted are"):
        value(aggregator, few)


@pytest.mark.parametrize(
    ("row", "argument", "bad"),
    [(TrimmedMean, "share", 0.5), (TrimmedMean, "share", 0.0), (MultiKrum, "f", 0),
     (MultiKrum, "keep", -1), (NormBound, "times", 0.9),
     (NormBound, "times", float("inf"))],
)  # fmt: skip
def test_arguments_out_of_range_are_refused_by_name(row: Any, argument: str, bad: float) -> None:
    with pytest.raises(ValueError, match=f"{argument} = .*accepted is"):
        row(**{argument: bad})


def study(**aggregation: Any) -> Any:
    classes = [{"name": "a", "definition": "a"}, {"name": "b", "definition": "b"}]
    return parse(
        {"schema": 1, "name": "s", "task": {"classes": classes}, "aggregation": aggregation}
    )


def test_a_study_of_too_few_sites_is_refused_before_it_runs() -> None:
    krum = study(name="multi-krum", arguments={"f": 2})
    check_sites(krum, decisions(krum), 7)
    with pytest.raises(StudyError, match="it compares 7 sites or more, and a quorum of 6 sites"):
        check_sites(krum, decisions(krum), 6)
    loose = study(name="multi-krum", quorum=0.6)
    with pytest.raises(StudyError, match="a quorum of 6 sites is 4"):
        check_sites(loose, decisions(loose), 6)
