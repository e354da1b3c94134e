"""Whether asking as the strategy does is worth more than asking at random: two more models.

Advice for people, in a live study as in a simulation; nothing steers by it. See `protocol/gain.py`
for what the two models learn from.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from protocol.gain import QUERIED, RANDOM, SiteGain, together
from protocol.records import GlobalState
from protocol.study import Study
from server import account
from server.cycle import Coordination
from server.events import Event
from server.federation import QuorumLost
from server.ledger import Ledger, Stage
from server.training import trained
from strategies.stopping.gain import Gain, gain


def compared(c: Coordination, cycle: int, first: GlobalState) -> None:
    """Train both models from the frozen weights, have the sites measure them, and commit that.

    After the first cycle there is nothing to compare: both models would have the same labels. Where
    too few sites are left for it there is no comparison, either, and the study goes on: it is
    advice.
    """
    if cycle == 0:
        return
    rounds = c.study.training.rounds_per_cycle
    stage = Stage(cycle, "compare", rounds)
    if c.ledger.records(stage, SiteGain) is None:
        try:
            heard = _heard(c, stage, GlobalState(first.arrays))
        except QuorumLost:
            c.notify(Event("not-compared", cycle))
            return
        c.ledger.commit(stage, heard)
        c.notify(Event("compare", cycle, rounds))
    for which in (RANDOM, QUERIED):
        c.models.prune(cycle, rounds, which)


def _heard(c: Coordination, stage: Stage, start: GlobalState) -> dict[str, SiteGain]:
    """What the sites measured of both models, by site."""
    random, queried = (trained(c, stage.cycle, start, which) for which in (RANDOM, QUERIED))
    arrays = together(random.arrays, queried.arrays)
    replies = c.federation.ask_all(stage, arrays, c.ledger.sites())
    return {reply.site: reply for reply in replies if isinstance(reply, SiteGain)}


def gains(ledger: Ledger, study: Study) -> Iterator[Gain]:
    """What each comparison in the ledger says, oldest first."""
    rounds = study.training.rounds_per_cycle
    for cycle in range(account.cycles(ledger)):
        heard = ledger.records(Stage(cycle, "compare", rounds), SiteGain)
        if heard:
            yield gain(cycle, heard, study.task)


def gains_in(file: Path, study: Study) -> list[dict[str, Any]]:
    """The same from a ledger's file, as plain values; empty where it has none."""
    with closing(Ledger.look(file).connection) as connection:
        return [found.document() for found in gains(Ledger(connection, study.identity), study)]
