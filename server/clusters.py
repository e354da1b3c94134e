"""The federation's clusters, found and handed out between a cycle's report and its budget."""

from __future__ import annotations

from collections.abc import Mapping

from protocol.clusters import CENTRES, TAKE, TELL, TURNS, SiteClusters
from protocol.records import Arrays
from server.cycle import Coordination
from server.events import Event
from server.ledger import Stage
from server.merging import merged


def handed_out(c: Coordination, cycle: int) -> None:
    """Ask for the sites' clusters and hand out the federation's, where this cycle needs them.

    Where no site has one that is large enough nothing is handed out, and each goes by its own.
    """
    strategy = c.decisions.query if cycle else c.decisions.cold_start
    if "cluster_centres" not in strategy.needs.signals:
        return
    told = _asked(c, Stage(cycle, "cluster", TELL), {})
    sites = c.ledger.sites()
    found = merged(c.study, cycle, sites, told)
    if found is not None:
        turns = {TURNS + site: row for site, row in zip(sites, found.turns, strict=True)}
        _asked(c, Stage(cycle, "cluster", TAKE), {CENTRES: found.centres, **turns})


def _asked(c: Coordination, stage: Stage, arrays: Arrays) -> Mapping[str, SiteClusters]:
    committed = c.ledger.records(stage, SiteClusters)
    if committed is not None:
        return committed
    replies = c.federation.ask_all(stage, arrays, c.ledger.sites())
    heard = {reply.site: reply for reply in replies if isinstance(reply, SiteClusters)}
    c.ledger.commit(stage, heard)
    c.notify(Event(stage.step, stage.cycle, stage.round))
    return heard
