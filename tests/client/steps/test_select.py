"""What a site opens for a grant: shares over cycles, top-ups, pools that run out."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from client import scored_pool
from client.keys import SiteKey
from client.site import Arrival, Site, enrol
from client.steps.report import uncertainty
from protocol.codec import digest
from protocol.records import Arrays, Grant, SiteUpdate
from protocol.steps import Code, Selected
from protocol.study import Study

Ask = Callable[..., Any]
Read = Callable[..., int]
MakeSite = Callable[..., Site]
MakeStudy = Callable[..., Study]
Weights = Callable[[Study], Arrays]
Refused = Callable[..., Code]
Cycle = Callable[..., SiteUpdate]
Purposes = Callable[[Site, Study, int], list[str]]
Sides = Callable[[Site, Study], tuple[set[int], set[int]]]


@pytest.mark.slow
def test_shares_of_audit_and_exploration_are_reached_over_the_cycles(
    tiny_study: MakeStudy,
    tiny_site: MakeSite,
    first_weights: Weights,
    cycle_of: Cycle,
    audit_and_pool: Sides,
) -> None:
    study = tiny_study("budget.total=100")
    site, arrays = tiny_site(study, pool=160), first_weights(study)
    audit, pool = audit_and_pool(site, study)
    seen: list[int] = []
    counts = {"audit": 0, "explore": 0, "query": 0}
    for cycle in range(10):
        cycle_of(site, study, arrays, cycle, 8)
        for opening in site.store.readings.opened(study.identity, cycle):
            counts[opening.purpose] += 1
            assert opening.case in (audit if opening.purpose == "audit" else pool)
            assert (opening.probs is None) == (opening.purpose == "audit")
            seen.append(opening.case)
        # 0.8 of a case each cycle: never more than half a case away
        assert abs(counts["audit"] - 0.8 * (cycle + 1)) <= 0.5
        assert abs(counts["explore"] - 0.72 * (cycle + 1)) <= 0.5
    assert counts == {"audit": 8, "explore": 7, "query": 65}
    assert len(set(seen)) == len(seen) == 80
    locked, _ = site.store.cases.locked()
    assert not set(locked.tolist()) & set(seen)


@pytest.mark.slow
def test_returned_readings_do_not_swell_the_audit_share(
    tiny_study: MakeStudy,
    tiny_site: MakeSite,
    first_weights: Weights,
    cycle_of: Cycle,
    purposes: Purposes,
) -> None:
    study = tiny_study("budget.total=100")
    site, arrays = tiny_site(study, pool=160), first_weights(study)
    for cycle in range(6):  # ten are granted in every cycle, two are read
        cycle_of(site, study, arrays, cycle, 10, most=2)
        # 0.1 of what was read before and of this grant, less what was read of audit
        assert purposes(site, study, cycle).count("audit") <= 2


def test_the_strategy_s_choice_keeps_its_order_and_the_rest_is_mixed_in(
    tiny_study: MakeStudy, tiny_site: MakeSite, first_weights: Weights, ask: Ask, purposes: Purposes
) -> None:
    study = tiny_study("audit.grant=0.3", "budget.exploration=0.3", "budget.per_cycle=20")
    site, arrays = tiny_site(study, pool=80), first_weights(study)
    ask(site, study, "train", arrays=arrays)
    ask(site, study, "report", cycle=1, arrays=arrays)
    reply = ask(site, study, "select", cycle=1, grant=Grant(20, ""))
    assert reply == Selected("north", 20)
    openings = site.store.readings.opened(study.identity, 1)
    scored = scored_pool.read(site.home, study.identity, 1)
    assert scored is not None
    entropy = dict(
        zip(
            scored.ids.tolist(),
            uncertainty(scored.signals["probs"], multi_label=False),
            strict=True,
        )
    )
    asked = [entropy[o.case] for o in openings if o.purpose == "query"]
    assert len(asked) == 10  # 6 audit, 4.2 exploration
    assert asked == sorted(asked, reverse=True)
    explored = {o.case for o in openings if o.purpose == "explore"}
    others = [value for case, value in entropy.items() if case not in explored]
    assert asked == sorted(others, reverse=True)[:10]
    order = [o.purpose for o in openings]
    assert (order.count("audit"), order.count("explore")) == (6, 4)
    runs = [kind for kind, _ in itertools.groupby(kind == "query" for kind in order)]
    assert len(runs) >= 4  # neither at the front nor at the end: mixed
    assert digest({}, *order) == digest({}, *purposes(site, study, 1))


def test_a_top_up_opens_other_cases_and_counts_those_still_open(
    tiny_study: MakeStudy,
    tiny_site: MakeSite,
    first_weights: Weights,
    ask: Ask,
    read_cases: Read,
    refused: Refused,
) -> None:
    study = tiny_study("audit.grant=0.2", "budget.exploration=0.5", "budget.per_cycle=16")
    site, arrays = tiny_site(study), first_weights(study)
    ask(site, study, "report", arrays=arrays)
    ask(site, study, "select", grant=Grant(10, ""))
    first = site.store.readings.opened(study.identity, 0)
    assert ask(site, study, "select", sequence=1, grant=Grant(5, "")).opened == 5
    both = site.store.readings.opened(study.identity, 0)
    assert both[:10] == first
    assert len({o.case for o in both}) == 15
    kinds = [o.purpose for o in both]
    assert (kinds.count("audit"), kinds.count("explore")) == (3, 6)  # as one grant of 15 had
    assert site.store.readings.granted(study.identity, 0) == 15
    assert read_cases(site.store, study) == 15
    # the same top-up again grants nothing; another one under its key is refused
    assert ask(site, study, "select", sequence=1, grant=Grant(5, "")).opened == 5
    assert refused(site, study, "select", sequence=1, grant=Grant(6, "")) is Code.CONFLICT
    assert site.store.readings.granted(study.identity, 0) == 15


def test_a_pool_smaller_than_the_grant_is_opened_whole(
    tiny_study: MakeStudy, tiny_site: MakeSite, first_weights: Weights, ask: Ask, read_cases: Read
) -> None:
    study = tiny_study("audit.patients=0.0")
    site, arrays = tiny_site(study, pool=6), first_weights(study)
    assert ask(site, study, "report", arrays=arrays).capacity == 6
    assert ask(site, study, "select", grant=Grant(9, "")).opened == 6
    assert read_cases(site.store, study) == 6
    told = ask(site, study, "close")
    assert (told.spent, told.returned, told.waiting) == (6, 3, 0)
    empty = ask(site, study, "report", cycle=1, arrays=arrays)
    assert (empty.pool, empty.capacity, sum(empty.uncertainty)) == (0, 0, 0)
    assert ask(site, study, "select", cycle=1, grant=Grant(0, "")).opened == 0


@pytest.mark.parametrize(("seconds", "most"), [(5.0, 1), (10.0, 1), (10.5, 2), (60.0, 6)])
def test_a_pool_worth_less_than_a_minute_can_use_one(
    seconds: float,
    most: int,
    tiny_study: MakeStudy,
    tiny_site: MakeSite,
    first_weights: Weights,
    ask: Ask,
) -> None:
    study = tiny_study("audit.patients=0.0", "budget.unit=minutes", f"budget.seconds={seconds}")
    site, arrays = tiny_site(study, pool=6), first_weights(study)
    assert ask(site, study, "report", arrays=arrays).capacity == most
    assert ask(site, study, "select", grant=Grant(most, "")).opened == 6


def test_audit_cases_fill_what_an_exhausted_pool_leaves_of_a_grant(
    tiny_study: MakeStudy,
    tiny_site: MakeSite,
    first_weights: Weights,
    ask: Ask,
    purposes: Purposes,
    audit_and_pool: Sides,
) -> None:
    study = tiny_study("audit.patients=0.5", "budget.total=40", "budget.per_cycle=40")
    site, arrays = tiny_site(study), first_weights(study)
    _, pool = audit_and_pool(site, study)
    told = ask(site, study, "report", arrays=arrays)
    assert told.capacity == 40  # and all of it can be used
    count = len(pool) + 7
    assert ask(site, study, "select", grant=Grant(count, "")).opened == count
    kinds = purposes(site, study, 0)
    due = round(0.1 * count)
    assert kinds.count("audit") == 7
    assert kinds[-(7 - due) :] == ["audit"] * (7 - due)  # behind all others


def test_several_readers_per_case_open_fewer_cases(
    tiny_study: MakeStudy, tiny_site: MakeSite, first_weights: Weights, ask: Ask, read_cases: Read
) -> None:
    study = tiny_study("reading.readers_per_case=2")
    site, arrays = tiny_site(study), first_weights(study)
    assert ask(site, study, "report", arrays=arrays).capacity == 80
    assert ask(site, study, "select", grant=Grant(9, "")).opened == 5  # the last with one reader
    assert read_cases(site.store, study) == 9
    assert ask(site, study, "train", arrays=arrays).weight <= 5


@pytest.mark.parametrize("grant", [None, Grant(-1, "")])
def test_a_select_without_a_usable_grant_is_refused(
    tiny_study: MakeStudy,
    tiny_site: MakeSite,
    first_weights: Weights,
    grant: Grant | None,
    refused: Refused,
) -> None:
    study = tiny_study()
    site = tiny_site(study)
    assert refused(site, study, "select", grant=grant) is Code.BAD_REQUEST
    assert refused(site, study, "select", grant=Grant(3, "")) is Code.BAD_REQUEST  # no report
    assert site.store.readings.granted(study.identity) == 0


def test_a_newcomer_between_report_and_select_waits_for_the_next_report(
    tiny_study: MakeStudy, tiny_site: MakeSite, first_weights: Weights, ask: Ask
) -> None:
    study = tiny_study("audit.patients=0.0")
    site, arrays = tiny_site(study, pool=4), first_weights(study)
    ask(site, study, "report", arrays=arrays)
    key = SiteKey(bytes(16))
    enrol(site.store, key, Arrival(["new"], ["new"], ["pool"], [5]), clustered=True)
    assert ask(site, study, "select", grant=Grant(9, "")).opened == 4
    assert ask(site, study, "report", cycle=1, arrays=arrays).pool == 5
