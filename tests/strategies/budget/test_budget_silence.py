"""A site that read nothing of its last grant gets its floor under every policy, until it reads."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.records import CycleRecord, Grant, SiteProgress
from protocol.study import parse
from server.ledger import Ledger
from server.sharing import Sharing
from simulations.examples import FewestLabels
from strategies.budget import BUDGET, Safe, Uniform
from strategies.budget.silence import allocated, silent

Course = Any
POLICIES = [*sorted(BUDGET), "one's own"]


def policy(name: str, floor: int) -> Any:
    return FewestLabels(floor) if name == "one's own" else BUDGET[name](floor=floor)


def fallen_silent(told: Course, sites: set[str], since: int, count: int = 10) -> Course:
    """The course, all sites granted so many in each cycle, and these reading none from one on."""
    reports, past = told
    grants = {r.site: Grant(count, "") for r in reports}
    heard = []
    for record in past:
        quiet = sites if record.cycle >= since else set()
        progress = {
            s: SiteProgress(s, 0, count, 0, 0.0)
            if s in quiet
            else SiteProgress(s, count, 0, 10, 10.0)
            for s in grants
        }
        heard.append(replace(record, grants=grants, progress=progress))
    return reports, heard


def shared(name: str, told: Course, budget: int, floor: int = 1, **more: Any) -> dict[str, Grant]:
    reports, past = told
    rng = np.random.default_rng(0)
    return allocated(policy(name, floor), reports, past, budget, rng, floor=floor, **more)


LOSSES = {
    "a": [0.7, 0.6, 0.5, 0.45, 0.4],
    "b": [0.7, 0.5, 0.4, 0.3, 0.25],
    "c": [0.7, 0.3, 0.2, 0.1, 0.05],
}


@pytest.mark.parametrize("name", POLICIES)
def test_a_silent_site_gets_its_floor_and_the_others_what_it_left(
    name: str, tell: Callable[..., Course]
) -> None:
    told = fallen_silent(tell(LOSSES, capacity=40), {"c"}, since=3)
    found = shared(name, told, 32)
    assert found["c"].count == 1
    assert sum(g.count for g in found.values()) == 32
    assert found["c"].reason == (
        "1 of 32: it read nothing of the 10 that it was granted last, so it is asked for 1 at most "
        "until it reads again"
    )
    assert "read nothing" not in found["a"].reason + found["b"].reason


@pytest.mark.parametrize("name", POLICIES)
@settings(deadline=None, max_examples=15)
@given(
    quiet=st.sets(st.sampled_from("abc")),
    capacity=st.integers(0, 60),
    budget=st.integers(0, 150),
    floor=st.integers(0, 8),
    since=st.integers(0, 5),
)
def test_with_silent_sites_sums_floors_and_caps_stay_exact(
    name: str,
    quiet: set[str],
    capacity: int,
    budget: int,
    floor: int,
    since: int,
    tell: Callable[..., Course],
) -> None:
    told = fallen_silent(tell(LOSSES, capacity=capacity), quiet, since)
    found = {site: g.count for site, g in shared(name, told, budget, floor).items()}
    silenced = quiet if since < 5 else set()
    caps = {s: min(capacity, max(floor, 1)) if s in silenced else capacity for s in "abc"}
    lows = {s: min(floor, cap) for s, cap in caps.items()}
    assert sum(found.values()) == min(budget, sum(caps.values()))
    assert all(found[s] <= caps[s] for s in "abc")
    if sum(lows.values()) <= budget:
        assert all(found[s] >= lows[s] for s in "abc")
    backwards = (told[0][::-1], told[1])
    assert found == {s: g.count for s, g in shared(name, backwards, budget, floor).items()}


def test_who_is_silent_by_hand() -> None:
    def record(cycle: int, granted: int, readings: int, waiting: int = 0) -> CycleRecord:
        told = SiteProgress("a", 0, granted - readings, readings, 0.0, waiting)
        return CycleRecord(cycle, {}, {"a": Grant(granted, "")}, {"a": told})

    def of(*rows: tuple[int, ...]) -> dict[str, int]:
        return silent([record(cycle, *row) for cycle, row in enumerate(rows)])

    assert of() == {}
    assert of((8, 8), (9, 0)) == {"a": 9}
    assert of((8, 8), (9, 0), (0, 0)) == {"a": 9}  # granted nothing, it was not asked
    assert of((9, 0), (1, 1)) == {}  # it reads again
    assert of((9, 1)) == {}  # it gave back, but not all
    assert of((9, 0, 9)) == {}  # away: it may have read, and is heard later
    assert silent([CycleRecord(0, {}, {}, {"a": SiteProgress("a", 0, 0, 0, 0.0)})]) == {}


def test_a_site_that_reads_again_gets_its_share_back(tell: Callable[..., Course]) -> None:
    reports, past = fallen_silent(tell(LOSSES), {"c"}, since=3)
    again = replace(past[-1], progress=past[-1].progress | {"c": SiteProgress("c", 1, 0, 1, 1.0)})
    rng = np.random.default_rng(0)
    then = allocated(Uniform(1), reports, past, 32, rng, floor=1)
    assert then["c"].count == 1
    assert {then["a"].count, then["b"].count} == {15, 16}
    now = allocated(Uniform(1), reports, [*past[:-1], again], 32, rng, floor=1)
    assert sorted(g.count for g in now.values()) == [10, 11, 11]
    top_up = allocated(Uniform(1), reports, past, 30, rng, floor=1, read={"c"})
    assert top_up["c"].count == 10  # it has read in the cycle whose rest is shared


def test_the_cycles_of_a_study_never_pour_into_a_silent_site(tell: Callable[..., Course]) -> None:
    study = parse(
        {
            "schema": 1,
            "name": "quiet",
            "task": {"classes": [{"name": n, "definition": n} for n in "xy"], "image": [1, 8, 8]},
            "network": {"name": "mlp"},
            "budget": {"total": 640, "per_cycle": 32, "floor": 2},
        }
    )
    told = fallen_silent(tell(LOSSES), {"c"}, since=2)
    no_ledger = cast(
        "Ledger", SimpleNamespace(records=lambda *asked: None, sites=lambda: list("abc"))
    )
    for name in BUDGET:
        sharing = Sharing(study, BUDGET[name](floor=2), no_ledger)
        found = sharing.of_cycle(5, {r.site: r for r in told[0]}, told[1])
        assert found["c"].count == 2, name
        assert sum(g.count for g in found.values()) == 32


def test_only_one_place_asks_a_policy() -> None:
    """Whoever asked one without `allocated` would pour into silent sites again."""
    root = Path(__file__).resolve().parents[3]
    rooms = ("strategies", "server", "client", "daemons", "protocol", "simulations")
    files = itertools.chain.from_iterable((root / room).rglob("*.py") for room in rooms)
    asking = {f.relative_to(root).as_posix() for f in files if ".allocate(" in f.read_text("utf-8")}
    assert asking == {"strategies/budget/silence.py"}


def test_the_safe_policy_shares_evenly_what_a_silent_site_leaves(
    tell: Callable[..., Course],
) -> None:
    reports, past = fallen_silent(tell({s: [0.7, 0.5] for s in "abcd"}), {"d"}, since=1)
    rng = np.random.default_rng(0)
    found = allocated(Safe(floor=1), reports, past, 31, rng, floor=1)
    assert {s: g.count for s, g in found.items()} == {"a": 10, "b": 10, "c": 10, "d": 1}
