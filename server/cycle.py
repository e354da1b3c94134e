"""The steps of one cycle, except for the reading; each is committed before the next.

Every function here first looks into the ledger: what is committed is taken from it and not asked
again, so a run that died continues with the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from protocol.records import (
    Arrays,
    CycleRecord,
    GlobalState,
    Grant,
    SiteEvaluation,
    SiteReport,
)
from protocol.steps import Reply, Selected
from protocol.study import Study
from server.events import Event, Notify
from server.federation import Federation
from server.ledger import Ledger, Stage
from server.models import ModelShelf
from server.rooms import ReadingRooms
from server.sharing import Sharing
from strategies.chosen import Decisions

R = TypeVar("R", SiteReport, Selected, SiteEvaluation)


def unpaused(since: datetime) -> timedelta:
    """The study was never paused."""
    return timedelta()


@dataclass(frozen=True, slots=True)
class Coordination:
    """Everything that the steps of a cycle need.

    Attributes:
        study: what is run.
        decisions: its strategies.
        federation: the sites, gathered.
        ledger: what is committed.
        models: the model files.
        rooms: where the cycle waits for people.
        notify: who watches.
        paused: for how long the study was paused since then: time in which no deadline runs.
    """

    study: Study
    decisions: Decisions
    federation: Federation
    ledger: Ledger
    models: ModelShelf
    rooms: ReadingRooms
    notify: Notify
    paused: Callable[[datetime], timedelta] = unpaused


def reports(c: Coordination, cycle: int, state: GlobalState) -> Mapping[str, SiteReport]:
    """What every site tells of its pool under the model of the cycle before."""
    return _asked(c, Stage(cycle, "report"), SiteReport, state.arrays)


def grants(
    c: Coordination, cycle: int, told: Mapping[str, SiteReport], past: Sequence[CycleRecord]
) -> Mapping[str, Grant]:
    """The cycle's budget shared between the sites that reported."""
    stage = Stage(cycle, "allocate")
    committed = c.ledger.records(stage, Grant)
    if committed is not None:
        return committed
    shared = Sharing(c.study, c.decisions.policy, c.ledger).of_cycle(cycle, told, past)
    c.ledger.commit(stage, shared)
    return shared


def opened(c: Coordination, cycle: int, shared: Mapping[str, Grant]) -> Mapping[str, Selected]:
    """How many cases every site opened for its grant."""
    stage = Stage(cycle, "select")
    committed = c.ledger.records(stage, Selected)
    if committed is not None:
        return committed
    replies = c.federation.ask_each(stage, shared)
    return _committed(c, stage, Selected, replies)


def evaluated(
    c: Coordination, cycle: int, round_: int, state: GlobalState
) -> Mapping[str, SiteEvaluation]:
    """What every site measured of the model after that many rounds."""
    return _asked(c, Stage(cycle, "evaluate", round_), SiteEvaluation, state.arrays)


def _asked(c: Coordination, stage: Stage, kind: type[R], arrays: Arrays) -> Mapping[str, R]:
    committed = c.ledger.records(stage, kind)
    if committed is not None:
        return committed
    replies = c.federation.ask_all(stage, arrays, c.ledger.sites())
    return _committed(c, stage, kind, replies)


def _committed(
    c: Coordination, stage: Stage, kind: type[R], replies: Iterator[Reply]
) -> Mapping[str, R]:
    heard = {reply.site: reply for reply in replies if isinstance(reply, kind)}
    c.ledger.commit(stage, heard)
    c.notify(Event(stage.step, stage.cycle, stage.round))
    return heard
