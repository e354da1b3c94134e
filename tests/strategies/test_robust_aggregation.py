"""What the robust aggregators promise: one bad site in several does not decide."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from protocol.codec import pack, unpack
from protocol.records import GlobalState, SiteUpdate
from protocol.study import StudyError, parse
from strategies.aggregation import (
    AGGREGATION,
    FedAvg,
    Median,
    MultiKrum,
    MultiKrumHistory,
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


def gathered(state: GlobalState) -> dict[str, float]:
    return {name: float(kept) for name, kept in state.memory.items()}


def test_multi_krum_history_by_hand() -> None:
    rule = MultiKrumHistory()
    # scores 10, 5, 13, 34, 4145 as above: the middle one is 13
    one = rule.step(GlobalState({"w": np.full(1, -9.0)}), of(0, 1, 3, 6, 50))
    assert gathered(one) == {
        "history/s0": -3, "history/s1": -8, "history/s2": 0, "history/s3": 21, "history/s4": 4132,
    }  # fmt: skip
    assert one.arrays["w"].tolist() == [2.5]
    # s4 comes into the midst, s0 goes away: scores 49+64, 1+1, 0+1, 1+1, 0+1, and the middle is 2
    updates = of(10, 1, 2, 3, 2)
    two = rule.step(GlobalState({"w": np.full(1, -9.0)}, one.memory), updates)
    assert list(gathered(two).values()) == [-3 + 111, -8, -1, 21, 4132 - 1]
    assert two.arrays["w"].tolist() == [4.0]  # without s4, which Multi-Krum would have taken back
    assert value(MultiKrum(), updates) == 2.0
    fading = MultiKrumHistory(decay=0.5, keep=2)
    half = fading.step(GlobalState({"w": np.full(1, -9.0)}, one.memory), updates)
    assert list(gathered(half).values()) == [-1.5 + 111, -4, -1, 10.5, 2066 - 1]
    assert half.arrays["w"].tolist() == [1.5]  # s1 and s2


def rounds(count: int, agree: int, evil: str, sites: int = 6) -> list[list[SiteUpdate]]:
    """Sites that agree in the first rounds and point apart later, one of them turned."""
    rng, found = np.random.default_rng(3), []
    for round_ in range(count):
        shared = np.ones(40) if round_ < agree else np.zeros(40)
        length = 1.0 if round_ < agree else 0.2
        found.append(
            [
                update(f"s{i}", (-1 if f"s{i}" == evil else 1) * length
                       * (shared + (1 + 0.05 * i) * rng.normal(size=40)))
                for i in range(sites)
            ]
        )  # fmt: skip
    return found


def left_out(rule: Any, given_: list[list[SiteUpdate]], through: Any = lambda s: s) -> list[str]:
    """Which site of each round the new model was made without."""
    state, found = GlobalState({"w": np.zeros(40)}), []
    for updates in given_:
        after = rule.step(state, updates)
        (name,) = [
            u.site for u in updates
            if np.allclose(
                after.arrays["w"], np.mean([v.arrays["w"] for v in updates if v is not u], axis=0)
            )
        ]  # fmt: skip
        found.append(name)
        state = through(GlobalState(state.arrays, after.memory, after.round))
    return found


def test_attack_of_a_turned_site_is_remembered_when_rounds_no_longer_tell() -> None:
    given_ = rounds(12, agree=3, evil="s0")
    alone = left_out(MultiKrum(), given_)
    assert alone[:3] == ["s0"] * 3
    assert alone[3:].count("s0") <= 2  # of nine: let in again, turned as ever
    assert left_out(MultiKrumHistory(), given_) == ["s0"] * 12


def test_multi_krum_history_without_history_is_multi_krum_of_five() -> None:
    given_ = rounds(8, agree=2, evil="s1", sites=5)
    assert left_out(MultiKrumHistory(decay=0.0), given_) == left_out(MultiKrum(), given_)


def test_multi_krum_history_survives_a_restart_of_the_server() -> None:
    given_ = rounds(8, agree=3, evil="s0")
    again = left_out(MultiKrumHistory(), given_, lambda state: unpack(GlobalState, pack(state)))
    assert again == left_out(MultiKrumHistory(), given_)
    whole = killed = GlobalState({"w": np.zeros(40)})
    for updates in given_:  # and every bit of the model and of the memory with it
        whole = MultiKrumHistory().step(whole, updates)
        killed = MultiKrumHistory().step(unpack(GlobalState, pack(killed)), updates)
    assert pack(whole) == pack(killed)


def test_a_site_that_was_away_stands_where_it_stood_and_a_new_one_in_the_middle() -> None:
    rule, state = MultiKrumHistory(), GlobalState({"w": np.full(1, -9.0)})
    one = rule.step(state, of(0, 1, 3, 6, 7, 50))
    two = rule.step(replace(state, memory=one.memory), of(0, 1, 3, 6, 7))  # s5 is away
    assert gathered(two)["history/s5"] == gathered(one)["history/s5"]
    assert two.arrays["w"][0] == pytest.approx(17 / 5)  # it stays the one that is left out
    back = rule.step(replace(state, memory=two.memory), of(0, 1, 3, 6, 7, 4))
    assert back.arrays["w"][0] == pytest.approx(17 / 5)  # and still out
    fresh = [*of(0, 1, 3, 6, 7), update("new", np.array([3.0]))]
    three = rule.step(replace(state, memory=one.memory), fresh)
    # over the f + 1 = 2 nearest: 10, 5, 4, 10, 17 and its own, 0 + 4; the middle is 7.5
    assert gathered(three)["history/new"] == 4 - 7.5


def test_attack_of_a_free_rider_is_no_longer_in_the_midst_of_all() -> None:
    given_ = [
        [update(u.site, u.arrays["w"] * (1e-6 if u.site == "s2" else 1)) for u in updates]
        for updates in rounds(6, agree=2, evil="")
    ]
    assert "s2" not in left_out(MultiKrum(), given_)
    assert left_out(MultiKrumHistory(), given_) == ["s2"] * 6


@pytest.mark.parametrize("bad", [np.zeros(2), np.array(np.nan)])
def test_multi_krum_history_refuses_a_memory_that_is_none(bad: NDArray[Any]) -> None:
    state = GlobalState({"w": np.zeros(1)}, {"history/s0": bad})
    with pytest.raises(ValueError, match=r"memory 'history/s0' .*accepted is one finite number"):
        MultiKrumHistory().step(state, of(1, 2, 3, 4, 5))


@settings(deadline=None)
@given(
    st.lists(st.floats(-1e3, 1e3), min_size=5, max_size=8),
    st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=2),
)
def test_no_dishonest_site_makes_an_honest_one_look_worse(
    honest: list[float], evil: list[float]
) -> None:
    """Its score is at most the sum over as many honest neighbours, wherever the others are."""
    near, f = len(honest) + len(evil) - len(evil) - 2, len(evil)
    scores = MultiKrum(f=f).scores(np.array([*honest, *evil])[:, None])
    for i, mine in enumerate(honest):
        own = sorted((mine - v) ** 2 for j, v in enumerate(honest) if j != i)
        assert scores[i] <= sum(own[:near]) * (1 + 1e-12)


def test_secure_aggregation_is_refused_with_a_history() -> None:
    with pytest.raises(StudyError, match="'multi-krum-history' compares the sites' own updates"):
        decisions(study(name="multi-krum-history", secure=True))


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
     (MultiKrum, "keep", -1), (MultiKrumHistory, "f", 0), (MultiKrumHistory, "keep", -1),
     (MultiKrumHistory, "decay", 1.1), (MultiKrumHistory, "decay", float("nan")),
     (NormBound, "times", 0.9), (NormBound, "times", float("inf"))],
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
