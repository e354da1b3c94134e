"""A site that read nothing of its last grant gets its floor under every policy, until it reads."""

from __future__ import annotations

import itertools
import json
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
from simulations.plan import plan_of
from simulations.simulate import simulate
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


@pytest.mark.parametrize("name", POLICIES)
@settings(deadline=None, max_examples=25)
@given(
    quiet=st.sets(st.sampled_from("abc")),
    capacities=st.lists(st.integers(0, 12), min_size=3, max_size=3),
    budget=st.integers(0, 30),
    floor=st.integers(0, 8),
)
def test_nothing_goes_to_a_silent_site_while_another_one_lacks_its_floor(
    name: str,
    quiet: set[str],
    capacities: list[int],
    budget: int,
    floor: int,
    tell: Callable[..., Course],
) -> None:
    reports, past = fallen_silent(tell(LOSSES), quiet, since=2)
    caps = dict(zip("abc", capacities, strict=True))
    reports = [replace(r, capacity=caps[r.site]) for r in reports]
    found = {s: g.count for s, g in shared(name, (reports, past), budget, floor).items()}
    asked = {s: min(cap, max(floor, 1)) if s in quiet else cap for s, cap in caps.items()}
    assert sum(found.values()) == min(budget, sum(asked.values()))
    assert all(found[s] <= asked[s] for s in "abc")
    awake = set("abc") - quiet
    if any(found[s] for s in quiet):
        assert all(found[s] >= min(floor, caps[s]) for s in awake)
        assert any(found[s] for s in awake) or not any(caps[s] for s in awake)
    assert found == {
        s: g.count for s, g in shared(name, (reports[::-1], past), budget, floor).items()
    }


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("floor", [0, 1, 4])
@pytest.mark.parametrize("total", [33, 34, 57, 60])
def test_a_study_with_one_site_that_reads_spends_its_whole_budget(
    name: str, floor: int, total: int, tell: Callable[..., Course]
) -> None:
    reports, past = fallen_silent(tell(LOSSES), {"a", "c"}, since=4)
    left = total
    while left:
        found = shared(name, (reports, past), min(16, left), floor)
        assert found["b"].count  # or the study would end here, nobody having read
        left -= found["b"].count


def test_the_reason_says_who_comes_first(tell: Callable[..., Course]) -> None:
    told = fallen_silent(tell(LOSSES), {"a", "c"}, since=4)
    found = shared("uniform", told, 2, floor=1)
    assert found["b"].reason.startswith("2 of 2: equal shares for 3 sites")
    assert found["a"].reason == (
        "0 of 2: it read nothing of the 10 that it was granted last, and 2 is too little to ask "
        "every site for 1, so it is asked for what the others cannot use"
    )
    few = [replace(r, capacity=1) for r in told[0]]
    found = shared("uniform", (few, told[1]), 2, floor=4)
    assert sorted(found[s].count for s in "ac") == [0, 1]
    assert found["b"].reason == "1 of 2: equal shares for 3 sites; 1 is all that it can use"
    nobody = fallen_silent(tell(LOSSES), {"a", "b", "c"}, since=4)
    found = shared("uniform", nobody, 2, floor=1)
    assert sorted(g.count for g in found.values()) == [0, 1, 1]  # asked, so that one can come back
    assert found["a"].reason.endswith("so it is asked for 1 at most until it reads again")


@pytest.mark.slow
def test_a_simulated_study_with_one_site_that_reads_spends_its_whole_budget(
    tmp_path: Path,
) -> None:
    study = parse(
        {
            "schema": 1,
            "name": "one-reads",
            "task": {"classes": [{"name": n, "definition": n} for n in "xy"], "image": [1, 8, 8]},
            "network": {"name": "mlp"},
            "training": {"rounds_per_cycle": 1, "min_steps": 1, "max_steps": 1},
            "budget": {"total": 26, "per_cycle": 12, "floor": 2},
            "simulation": {"sites": 3, "split": "iid", "silent": {"site-01": 1, "site-03": 1}},
        }
    )
    simulate(plan_of(study, "phantom", ["random"], [0]), tmp_path, lambda task, event: None)
    lines = (tmp_path / "random" / "seed-0" / "cycles.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines][1:]
    assert sum(sum(c["spent"].values()) for c in found) == 26
    assert "too little to ask every site for 2" in found[-1]["reasons"]["site-01"]


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
