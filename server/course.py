"""The course of a study: cycle after cycle until the label budget is spent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from protocol.records import CycleRecord, GlobalState, SiteEvaluation
from server import account
from server.clusters import handed_out
from server.cycle import Coordination, evaluated, grants, opened, reports
from server.events import Event
from server.gain import compared
from server.reading import Reading
from server.settling import last_call, settled
from server.training import losses, trained
from strategies.budget.silence import silent


@dataclass(frozen=True, slots=True)
class Milestone:
    """A measured point of a study: the first weights, or the end of a cycle.

    Attributes:
        record: of the cycle; None for the first weights.
        evaluations: by site, in site order.
        losses: mean training loss of each round.
    """

    record: CycleRecord | None
    evaluations: dict[str, SiteEvaluation]
    losses: tuple[float, ...] = ()


def course(c: Coordination, first: GlobalState) -> Iterator[Milestone]:
    """Run the study, or go on with it, and yield each milestone once it is committed.

    It ends when the budget is spent, when no site can use more, or when a cycle passed without a
    single reading, nobody was away, and nobody is left to be asked instead. Before that, sites that
    were away when a cycle closed have a last while to come to account; what they give back may pay
    for another cycle. Stopping advice is recorded and ends nothing.
    """
    yield Milestone(None, dict(evaluated(c, 0, 0, first)))
    past: list[CycleRecord] = []
    state = first
    while (milestone := _cycle(c, past, state, first)) is not None:
        record, state, measured = milestone
        past.append(record)
        rounds = tuple(losses(c.ledger, c.study, record.cycle))
        yield Milestone(record, measured, rounds)
        if _idle(record) and not _unasked(past) and not last_call(c, past):
            break
    if past and c.study.stopping.gain == "end":
        compared(c, past[-1].cycle, first)
    c.notify(Event("end", len(past), spent=_spent(past)))


def _cycle(
    c: Coordination, past: list[CycleRecord], state: GlobalState, first: GlobalState
) -> tuple[CycleRecord, GlobalState, dict[str, SiteEvaluation]] | None:
    cycle = len(past)
    past[:] = [settled(c, cycle, record) for record in past]
    spent = _spent(past)
    if c.study.cycle_budget(cycle, spent) == 0:
        last_call(c, past)
        spent = _spent(past)
        if c.study.cycle_budget(cycle, spent) == 0:
            return None
    c.notify(Event("begin", cycle, spent=spent))
    told = reports(c, cycle, state)
    if not any(report.capacity for report in told.values()):
        last_call(c, past)
        return None
    handed_out(c, cycle)
    shared = grants(c, cycle, told, past)
    opened(c, cycle, shared)
    read = Reading(c, cycle, told, shared, past).done()
    granted = account.together(account.grants(c.ledger, cycle))
    draft = CycleRecord(cycle, told, granted, read)
    advice = c.decisions.stopping.advise([*past, draft])
    record = CycleRecord(cycle, told, granted, read, advice)
    c.notify(Event("read", cycle, spent=_spent([*past, record])))
    warm = c.study.training.start == "warm"
    start = GlobalState(state.arrays, state.memory) if warm else first
    state = trained(c, cycle, start)
    measured = evaluated(c, cycle, c.study.training.rounds_per_cycle, state)
    c.models.prune(cycle, c.study.training.rounds_per_cycle)
    if c.study.stopping.gain == "cycle":
        compared(c, cycle, first)
    return record, state, dict(measured)


def _idle(record: CycleRecord) -> bool:
    """Whether nobody read in a cycle, nor has anything before them still."""
    return not any(p.readings or p.waiting for p in record.progress.values())


def _unasked(past: Sequence[CycleRecord]) -> bool:
    """Whether a site that reads was asked for nothing in the last cycle, so that it may be next.

    Once after every cycle with readings: a policy may never ask it.
    """
    last, quiet = past[-1], silent(past)
    if len(past) > 1 and _idle(past[-2]):
        return False
    asked = {site for site, grant in last.grants.items() if grant.count}
    return any(r.capacity for s, r in last.reports.items() if s not in asked and s not in quiet)


def _spent(past: list[CycleRecord]) -> int:
    return sum(p.spent for record in past for p in record.progress.values())
