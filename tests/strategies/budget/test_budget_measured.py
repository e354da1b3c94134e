"""The contract of every budget policy, held with measured cycles behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.records import UNCERTAINTY_BINS, CycleRecord, Grant, SiteProgress, SiteReport
from strategies.budget import BUDGET

SITES = "abcd"


def small(most: int) -> st.SearchStrategy[int]:
    return st.integers(0, most)


@st.composite
def site_report(draw: st.DrawFn, site: str) -> SiteReport:
    bins = [0] * UNCERTAINTY_BINS
    for place in draw(st.lists(small(UNCERTAINTY_BINS - 1), max_size=3)):
        bins[place] += draw(small(20))
    return SiteReport(
        site=site,
        pool=sum(bins),
        labeled=draw(small(30)),
        audit_left=0,
        capacity=draw(small(40)),
        seconds_per_reading=draw(st.sampled_from([0.0, 12.5, 30.0, 90.0])),
        uncertainty=tuple(bins),
        predicted=(draw(small(20)), draw(small(20))),
        labels=(draw(small(20)), draw(small(20))),
        kept=((0, 0), (0, 0)),
        prequential_loss=draw(st.floats(0, 8)),
        prequential_count=draw(small(3)),
    )


@st.composite
def courses(draw: st.DrawFn) -> tuple[list[SiteReport], list[CycleRecord]]:
    """Up to five cycles of up to four sites, some of them silent in some cycles."""
    names = SITES[: draw(st.integers(1, len(SITES)))]
    past = []
    for cycle in range(draw(small(5))):
        there = [s for s in names if draw(small(5))]
        minutes = st.sampled_from([0.0, 0.1, 7.5])
        past.append(
            CycleRecord(
                cycle,
                {s: draw(site_report(s)) for s in there},
                {},
                {s: SiteProgress(s, 1, 0, 1, draw(minutes)) for s in there},
            )
        )
    return [draw(site_report(s)) for s in names], past


def backwards(past: list[CycleRecord]) -> list[CycleRecord]:
    return [
        replace(
            c,
            reports=dict(reversed(list(c.reports.items()))),
            progress=dict(reversed(list(c.progress.items()))),
        )
        for c in past
    ]


def twins(past: list[CycleRecord]) -> list[CycleRecord]:
    """The same cycles with a site "z" that has told and done exactly what "a" has."""

    def report(rows: Mapping[str, SiteReport]) -> dict[str, SiteReport]:
        return {**rows, "z": replace(rows["a"], site="z")} if "a" in rows else dict(rows)

    def progress(rows: Mapping[str, SiteProgress]) -> dict[str, SiteProgress]:
        return {**rows, "z": replace(rows["a"], site="z")} if "a" in rows else dict(rows)

    return [replace(c, reports=report(c.reports), progress=progress(c.progress)) for c in past]


def allocate(
    name: str, told: tuple[list[SiteReport], list[CycleRecord]], budget: int, floor: int = 0
) -> dict[str, Grant]:
    rng = np.random.default_rng(7)
    return dict(BUDGET[name](floor=floor).allocate(*told, budget, rng))


@pytest.mark.slow
@settings(deadline=None, max_examples=30)
@given(told=courses(), budget=small(120), floor=small(8))
def test_measured_cycles_break_no_sum_and_no_limit(
    told: tuple[list[SiteReport], list[CycleRecord]], budget: int, floor: int
) -> None:
    for name in BUDGET:  # within: making up a course takes longer than sharing by it
        check_contract(name, *told, budget, floor)


def check_contract(
    name: str, reports: list[SiteReport], past: list[CycleRecord], budget: int, floor: int
) -> None:
    told = reports, past
    granted = allocate(name, told, budget, floor)
    caps = {r.site: r.capacity for r in reports}
    assert sum(g.count for g in granted.values()) == min(budget, sum(caps.values()))
    assert all(0 <= granted[s].count <= caps[s] for s in caps)
    if sum(min(floor, cap) for cap in caps.values()) <= budget:
        assert all(granted[s].count >= min(floor, caps[s]) for s in caps)
    assert not any(word in g.reason for g in granted.values() for word in ("nan", "None"))
    assert all(g.threshold is None or 0 <= g.threshold <= 1 for g in granted.values())
    assert granted == allocate(name, (reports[::-1], backwards(past)), budget, floor)


@pytest.mark.slow
@settings(deadline=None, max_examples=30)
@given(told=courses(), budget=small(120), floor=small(8))
def test_sites_with_equal_stories_get_equal_grants_up_to_one(
    told: tuple[list[SiteReport], list[CycleRecord]], budget: int, floor: int
) -> None:
    reports, past = told
    both = [*reports, replace(reports[0], site="z")]
    for name in BUDGET:
        granted = allocate(name, (both, twins(past)), budget, floor)
        assert abs(granted["a"].count - granted["z"].count) <= 1, name


@pytest.mark.parametrize("name", ["learning-curve", "safe", "thompson", "ucb", "worst-site"])
@pytest.mark.parametrize("loss", [float("nan"), float("inf"), -0.1])
def test_an_impossible_loss_is_refused(name: str, loss: float) -> None:
    report = SiteReport("a", 1, 1, 0, 9, 0.0, (1, *[0] * 31), (1, 0), (1, 0), ((0, 0), (0, 0)))
    past = [CycleRecord(0, {"a": report}, {}, {"a": SiteProgress("a", 1, 0, 1, 1.0)})]
    now = replace(report, prequential_loss=loss, prequential_count=1)
    with pytest.raises(ValueError, match=r"site 'a' reports .* as a prequential loss: accepted is"):
        allocate(name, ([now], past), 1)


@pytest.mark.parametrize("name", ["hours", "neyman"])
def test_impossible_times_are_refused(name: str) -> None:
    report = SiteReport("a", 1, 1, 0, 9, 0.0, (1, *[0] * 31), (1, 0), (1, 0), ((0, 0), (0, 0)))
    with pytest.raises(ValueError, match="reports nan as seconds per reading: accepted is"):
        allocate(name, ([replace(report, seconds_per_reading=float("nan"))], []), 1)


def test_classes_that_differ_between_sites_are_refused() -> None:
    one = SiteReport("a", 1, 1, 0, 9, 0.0, (1, *[0] * 31), (1, 0), (1, 0), ((0, 0), (0, 0)))
    with pytest.raises(ValueError, match="site 'b' reports 3 classes of labels and 2 of"):
        allocate("class-deficit", ([one, replace(one, site="b", labels=(1, 0, 0))], []), 1)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("hours", {"hours": -1.0}),
        ("hours", {"site_hours": (("a", float("nan")),)}),
        ("safe", {"reach": 1.5}),
        ("safe", {"confidence": 1.0}),
        ("safe", {"power": 1.5}),
        ("safe", {"minutes": "often"}),
        ("thompson", {"discount": 0.0}),
        ("ucb", {"confidence": -1.0}),
        ("ucb", {"discount": 1.1}),
        ("worst-site", {"rate": float("inf")}),
    ],
)
def test_arguments_of_measured_policies_out_of_range_are_refused(
    name: str, arguments: dict[str, object]
) -> None:
    with pytest.raises(ValueError, match=r"accepted is (a finite number|'always')"):
        BUDGET[name](**arguments)
