"""The federation's clusters, found and handed out between a cycle's report and its budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from protocol.clusters import CENTRES, TAKE, TELL, TURNS, SiteClusters, limits
from protocol.records import Arrays
from protocol.seeds import Purpose, generator
from server.cycle import Coordination
from server.events import Event
from server.ledger import Stage
from strategies.clusters import Cells, shared


def handed_out(c: Coordination, cycle: int) -> None:
    """Ask for the sites' clusters and hand out the federation's, where this cycle needs them.

    Where no site has one that is large enough nothing is handed out, and each goes by its own.
    """
    strategy = c.decisions.query if cycle else c.decisions.cold_start
    if "cluster_centres" not in strategy.needs.signals:
        return
    told = _asked(c, Stage(cycle, "cluster", TELL), {})
    sites = c.ledger.sites()
    if any(heard.cases for heard in told.values()):
        _asked(c, Stage(cycle, "cluster", TAKE), _arrays(c, cycle, sites, told))


def _arrays(
    c: Coordination, cycle: int, sites: Sequence[str], told: Mapping[str, SiteClusters]
) -> Arrays:
    """What the second request carries: the centres, and every site's turns."""
    width = max(heard.means.shape[1] for heard in told.values() if heard.cases)
    none = np.empty((0, width), dtype=np.float32)
    parts = []
    for site in sites:
        heard = told.get(site)
        if heard is None or heard.means.shape != (len(heard.cases), width):
            parts.append(Cells(none, *2 * (np.empty(0, dtype=np.int64),)))
        else:
            parts.append(Cells(heard.means, np.array(heard.cases), np.array(heard.labels)))
    most, _ = limits(c.study)
    found = shared(parts, most, generator(c.study.seed, -1, cycle, 0, Purpose.CLUSTER))
    turns = {TURNS + site: row for site, row in zip(sites, found.turns, strict=True)}
    return {CENTRES: found.centres, **turns}


def _asked(c: Coordination, stage: Stage, arrays: Arrays) -> Mapping[str, SiteClusters]:
    committed = c.ledger.records(stage, SiteClusters)
    if committed is not None:
        return committed
    replies = c.federation.ask_all(stage, arrays, c.ledger.sites())
    heard = {reply.site: reply for reply in replies if isinstance(reply, SiteClusters)}
    c.ledger.commit(stage, heard)
    c.notify(Event(stage.step, stage.cycle, stage.round))
    return heard
