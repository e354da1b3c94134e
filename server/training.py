"""The rounds of a cycle: the sites train, their updates become the next global model."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from protocol.records import Arrays, GlobalState, SiteUpdate, UpdateNumbers
from protocol.study import Study
from server.cycle import Coordination
from server.events import Event
from server.ledger import Ledger, Stage
from server.secagg import ask_sum

TOO_LONG = 10.0
"""An update so many times as long as is usual is broken, or worse, and not merely different."""


def trained(c: Coordination, cycle: int, start: GlobalState, sequence: int = 0) -> GlobalState:
    """The global model after the cycle's rounds; with a sequence, one of `protocol.gain`."""
    rounds = c.study.training.rounds_per_cycle
    state, done = start, 0
    for round_ in range(rounds, 0, -1):
        file = c.ledger.file(Stage(cycle, "train", round_ - 1, sequence))
        if file:
            state, done = c.models.load(file), round_
            break
    for round_ in range(done, rounds):
        stage = Stage(cycle, "train", round_, sequence)
        heard = _summed(c, stage, state) if c.study.aggregation.secure else _each(c, stage, state)
        state = c.decisions.aggregator.step(state, heard.updates)
        c.ledger.commit(stage, heard.numbers, c.models.save(cycle, state, sequence))
        c.notify(Event("compare" if sequence else "train", cycle, round_ + 1))
    return state


def losses(ledger: Ledger, study: Study, cycle: int) -> list[float]:
    """Mean training loss of every committed round of a cycle, weighted by labels."""
    found: list[float] = []
    for round_ in range(study.training.rounds_per_cycle):
        told = [u for u in _numbers(ledger, Stage(cycle, "train", round_)) if not u.left_out]
        total = sum(u.weight for u in told)
        found.append(sum(u.loss * u.weight for u in told) / total if total else 0.0)
    return found


def usual_length(ledger: Ledger, stage: Stage) -> float | None:
    """How long an update of this round is usually; None where nothing says it.

    The median of the round before, since steps do not grow within a cycle; for a first round that
    of the first round of the cycle before.
    """
    cycle, round_ = (stage.cycle, stage.round - 1) if stage.round else (stage.cycle - 1, 0)
    if cycle < 0:
        return None
    before = Stage(cycle, "train", round_, stage.sequence)
    lengths = [u.length for u in _numbers(ledger, before) if u.weight and not u.left_out]
    return median(lengths) if lengths else None


def length(arrays: Arrays, start: Arrays) -> float:
    """Euclidean length of the change from `start`, over all arrays of fractions.

    Whatever their order: an answer that a site kept and sends again has another than a fresh one.
    """
    squares = []
    for name, array in arrays.items():
        if array.dtype.kind == "f":
            change = np.asarray(array, dtype=np.float64) - np.asarray(start[name], np.float64)
            squares.append(float(np.square(change).sum()))
    return math.sqrt(math.fsum(squares))


@dataclass(slots=True)
class _Heard:
    """A round's updates, each to be asked for once, and what is kept of those asked for."""

    updates: Iterator[SiteUpdate]
    numbers: dict[str, UpdateNumbers] = field(default_factory=dict)


def _each(c: Coordination, stage: Stage, state: GlobalState) -> _Heard:
    """The sites' updates in site order; one that is far too long is left out, and said.

    A rule that compares sites gets those last, where it has too few without them: it can judge
    them itself, and one site alone must not end a study.
    """
    usual, least = usual_length(c.ledger, stage), c.decisions.aggregator.least_sites

    def updates() -> Iterator[SiteUpdate]:
        kept, aside = 0, list[tuple[SiteUpdate, float]]()
        for reply in c.federation.ask_all(stage, state.arrays, c.ledger.sites()):
            if not isinstance(reply, SiteUpdate):
                continue
            long = length(reply.arrays, state.arrays)
            out = bool(usual) and reply.weight > 0 and long > TOO_LONG * (usual or 0.0)
            if out and least > 1:
                aside.append((reply, long))
                continue
            _hear(c, stage, heard, (reply, long, out))
            kept += not out and reply.weight > 0
            if not out:
                yield reply
        judged = 0 < kept < least <= kept + len(aside)
        for reply, long in aside:
            _hear(c, stage, heard, (reply, long, not judged))
            if judged:
                yield reply

    heard = _Heard(updates())
    return heard


def _hear(
    c: Coordination, stage: Stage, heard: _Heard, told: tuple[SiteUpdate, float, bool]
) -> None:
    """Keep the numbers of an update, its length, and whether it is left out; and say so."""
    update, long, out = told
    numbers = (update.weight, update.loss, update.steps, long, out)
    heard.numbers[update.site] = UpdateNumbers(update.site, *numbers)
    c.notify(Event("too-long" if out else "train", stage.cycle, stage.round, update.site))


def _summed(c: Coordination, stage: Stage, state: GlobalState) -> _Heard:
    """The mean of the sites' updates, of which none is seen; for each its numbers are kept."""

    def updates() -> Iterator[SiteUpdate]:
        update, sites = ask_sum(c.federation, c.study, stage, state.arrays)
        if update is not None:
            long = length(update.arrays, state.arrays)
            for site in sites:
                numbers = UpdateNumbers(site, 1.0, update.loss, update.steps, long)
                heard.numbers[site] = numbers
            yield update

    heard = _Heard(updates())
    return heard


def _numbers(ledger: Ledger, stage: Stage) -> list[UpdateNumbers]:
    return list((ledger.records(stage, UpdateNumbers) or {}).values())
