"""A closed cycle takes nothing more: no reading, no grant; its answer stays the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from client.queue import ReadingRefused, current_cycle, next_case, submit, waiting
from client.site import Site
from client.store.step_shelf import StepRefused
from protocol.records import Arrays, Grant, Reading, SiteProgress
from protocol.steps import Code
from protocol.study import Study

AT = "2026-01-05T08:00:00+00:00"


@pytest.fixture
def opened(
    tiny_study: Callable[..., Study],
    tiny_site: Callable[..., Site],
    first_weights: Callable[[Study], Arrays],
    ask: Callable[..., Any],
) -> tuple[Site, Study]:
    """A site with eight cases open in the first cycle."""
    study = tiny_study()
    site = tiny_site(study)
    ask(site, study, "report", arrays=first_weights(study))
    ask(site, study, "select", grant=Grant(8, ""))
    return site, study


def test_a_closed_cycle_takes_no_reading(
    opened: tuple[Site, Study], ask: Callable[..., Any], read_cases: Callable[..., int]
) -> None:
    site, study = opened
    assert current_cycle(site.store, study) == 0
    assert read_cases(site.store, study, most=3) == 3
    shown = next_case(site.store, study, 0, "ann")
    assert shown is not None
    told = ask(site, study, "close")
    assert told == SiteProgress("north", 3, 5, 3, 1.0)
    assert current_cycle(site.store, study) is None
    assert next_case(site.store, study, 0, "ann") is None
    assert waiting(site.store, study, 0) == []
    reading = Reading("", "ann", AT, 20.0, "answered", (1, 0))
    with pytest.raises(ReadingRefused, match=r"^cycle 1 is closed; accepted are cases of the open"):
        submit(site.store, study, 0, shown, reading)
    assert ask(site, study, "close") == told


def test_a_late_grant_for_a_closed_cycle_is_refused_and_a_repeated_one_answered(
    opened: tuple[Site, Study], ask: Callable[..., Any]
) -> None:
    site, study = opened
    ask(site, study, "close")
    with pytest.raises(StepRefused) as refused:
        ask(site, study, "select", sequence=1, grant=Grant(2, ""))
    assert refused.value.code is Code.CONFLICT
    assert ask(site, study, "select", grant=Grant(8, "")).opened == 8
    assert site.store.readings.granted(study.identity, 0) == 8


def test_a_site_that_never_heard_of_its_grant_closes_all_the_same(
    opened: tuple[Site, Study], ask: Callable[..., Any], first_weights: Callable[..., Arrays]
) -> None:
    site, study = opened
    assert ask(site, study, "close", cycle=1) == SiteProgress("north", 0, 0, 0, 0.0)
    ask(site, study, "report", cycle=1, arrays=first_weights(study))
    with pytest.raises(StepRefused):
        ask(site, study, "select", cycle=1, grant=Grant(2, ""))
    assert current_cycle(site.store, study) == 0


def test_a_later_grant_closes_the_cycles_before_it(
    opened: tuple[Site, Study],
    ask: Callable[..., Any],
    first_weights: Callable[..., Arrays],
    read_cases: Callable[..., int],
) -> None:
    """The server was without this site when the first cycle closed; no case is asked twice."""
    site, study = opened
    read_cases(site.store, study, most=3)
    shown = next_case(site.store, study, 0, "ann")
    assert shown is not None
    ask(site, study, "report", cycle=1, arrays=first_weights(study))
    assert current_cycle(site.store, study) == 0
    assert ask(site, study, "select", cycle=1, grant=Grant(4, "")).opened == 4
    assert current_cycle(site.store, study) == 1
    with pytest.raises(ReadingRefused, match="cycle 1 is closed"):
        submit(site.store, study, 0, shown, Reading("", "ann", AT, 20.0, "answered", (1, 0)))
    assert ask(site, study, "close").spent == 3
    assert read_cases(site.store, study, 1) == 4
