"""The calendar of a simulated study, from readings in real stores."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from client.store.case_shelf import Enrolled
from client.store.reading_shelf import Opening
from client.store.store import SiteStore
from protocol.records import Reading
from protocol.study import Study, parse
from simulations.days import begins, days
from simulations.readers import working_time

DAY = 60.0
"""Seconds a day of the readers here."""

Stores = dict[str, SiteStore]


def study(deadline_hours: float, silent: dict[str, int]) -> Study:
    content: dict[str, Any] = {
        "schema": 1,
        "name": "calendar",
        "task": {
            "image": [1, 8, 8],
            "classes": [{"name": n, "definition": n} for n in ("clear", "dense")],
        },
        "network": {"name": "mlp"},
        "reading": {"deadline_hours": deadline_hours},
        "simulation": {
            "sites": 2,
            "silent": silent,
            "readers": {"per_site": 1, "hours_per_day": DAY / 3600},
        },
    }
    return parse(content)


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    """Two sites', each with forty cases."""
    made = {}
    for name in ("site-01", "site-02"):
        made[name] = SiteStore.open(tmp_path / f"{name}.db", durable=False)
        with made[name].transaction():
            made[name].cases.enrol(Enrolled(f"c{i}", f"p{i}", 0.5, "pool", i) for i in range(40))
    yield made
    for store in made.values():
        store.close()


def read(
    stores: Stores,
    of: Study,
    cycle: int,
    name: str,
    *,
    opened: int,
    answered: int,
    seconds: float = DAY / 2,
) -> list[str]:
    """Open so many cases of a site and answer some from the cycle's first day; when those ended."""
    store, start = stores[name], begins(stores, of, cycle)
    openings = [Opening(10 * cycle + i + 1, "query") for i in range(opened)]
    ended = [working_time(start, DAY / 3600, seconds * (i + 1)) for i in range(answered)]
    with store.transaction():
        store.steps.approve(of, "w")
        store.readings.open(of.identity, cycle, openings)
        for opening, at in zip(openings, ended, strict=False):
            reading = Reading(f"c{opening.case - 1}", "reader-1", at, seconds, "answered", (1, 0))
            store.readings.add(of.identity, cycle, opening.case, opening.purpose, reading)
    return ended


def test_a_site_that_left_its_last_grant_unread_does_not_cut_off_who_still_reads(
    stores: Stores,
) -> None:
    of = study(336, {"site-02": 1})
    read(stores, of, 0, "site-01", opened=2, answered=2)
    read(stores, of, 0, "site-02", opened=2, answered=2)
    assert begins(stores, of, 1) == date(2026, 1, 6)  # a Tuesday
    read(stores, of, 1, "site-02", opened=2, answered=0)
    read(stores, of, 1, "site-01", opened=2, answered=2)
    assert begins(stores, of, 2) == date(2026, 1, 21)  # 14 days later it was over
    read(stores, of, 2, "site-02", opened=1, answered=0)
    ended = read(stores, of, 2, "site-01", opened=8, answered=8)
    assert ended[-1][:10] == "2026-01-26"  # the Monday; the quarter ended on Saturday, the 24th
    assert begins(stores, of, 3) == date(2026, 1, 27)
    assert days(stores, of, 2) == 22
    read(stores, of, 3, "site-02", opened=1, answered=0)
    read(stores, of, 3, "site-01", opened=2, answered=2)
    assert begins(stores, of, 4) == date(2026, 1, 31)  # done before the quarter: 3 and a half days


def test_no_cycle_outlasts_its_deadline(stores: Stores) -> None:
    of = study(48, {"site-02": 0})
    read(stores, of, 0, "site-02", opened=1, answered=0)
    read(stores, of, 0, "site-01", opened=2, answered=2)
    assert begins(stores, of, 1) == date(2026, 1, 8)  # Thursday; the next deadline is on Saturday
    read(stores, of, 1, "site-02", opened=1, answered=0)
    ended = read(stores, of, 1, "site-01", opened=3, answered=3, seconds=0.75 * DAY)
    assert ended[-1][:10] == "2026-01-12"  # begun before the deadline, and finished on Monday
    assert begins(stores, of, 2) == date(2026, 1, 11)


def test_a_day_s_last_second_is_that_day_s(stores: Stores) -> None:
    of = study(336, {})
    ended = read(stores, of, 0, "site-01", opened=10, answered=10)
    assert ended[-1] == "2026-01-09T08:01:00.000+00:00"  # Friday
    assert days(stores, of, 0) == 5
