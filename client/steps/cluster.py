"""The cluster step: tell of large clusters of the site's cases, then take the federation's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from client import scored_pool
from client.scored_pool import ScoredPool
from client.site import Site
from client.steps.outcome import Outcome, strategy_of
from client.store.step_shelf import StepRefused
from protocol.clusters import CENTRES, TELL, TURNS, SiteClusters, limits
from protocol.records import Arrays
from protocol.seeds import Purpose, generator
from protocol.steps import Code, StepRequest
from protocol.study import Study
from strategies.clusters import Cells, cells
from strategies.pool import Pool
from strategies.query.distances import unit_cases


def cluster(site: Site, study: Study, request: StepRequest) -> Outcome:
    """Of the pool as the report step scored it, and of the labels there were then."""
    key = request.key
    scored = scored_pool.read(site.home, key.study, key.cycle)
    if scored is None:
        raise StepRefused(Code.BAD_REQUEST, "a cluster step before its report step")
    if "cluster_centres" not in strategy_of(site, study, key.cycle).needs.signals:
        raise StepRefused(Code.BAD_REQUEST, "a cluster step where nothing asks by clusters")
    if key.round == TELL:
        return Outcome(_told(site, study, request, scored))
    taken = replace(scored, signals={**scored.signals, **_taken(site, scored, request.arrays)})
    scored_pool.write(site.home, taken, sync=site.durable)
    return Outcome(_as_record(site, Cells(np.empty((0, 0), np.float32), *2 * (_NONE,))))


_NONE = np.empty(0, dtype=np.int64)


def _told(site: Site, study: Study, request: StepRequest, scored: ScoredPool) -> SiteClusters:
    x, pool = unit_cases(Pool(len(scored.ids), scored.signals))
    most, least = limits(study)
    rng = generator(study.seed, site.number, request.key.cycle, 0, Purpose.CLUSTER)
    found = cells(x.astype(np.float32, copy=False), len(x) - pool, most, least, rng)
    return _as_record(site, found)


def _as_record(site: Site, found: Cells) -> SiteClusters:
    counts = (tuple(int(v) for v in values) for values in (found.cases, found.labels))
    return SiteClusters(site.name, found.means, *counts)


def _taken(site: Site, scored: ScoredPool, arrays: Arrays) -> dict[str, NDArray[np.float64]]:
    """The federation's clusters as signals, once they are what this pool's features fit.

    Raises:
        StepRefused: they are not.
    """
    centres, turns = arrays.get(CENTRES), arrays.get(TURNS + site.name)
    width = scored.signals["features"].shape[1]
    if centres is None or turns is None or centres.ndim != 2 or centres.shape[1] != width:
        raise StepRefused(Code.BAD_REQUEST, "clusters that do not fit the features here")
    if sorted(turns.ravel().tolist()) != list(range(len(centres))) or turns.ndim != 1:
        raise StepRefused(Code.BAD_REQUEST, "turns that are no order of the clusters")
    if not np.isfinite(centres).all():
        raise StepRefused(Code.BAD_REQUEST, "clusters that are not finite")
    return {
        "cluster_centres": centres.astype(np.float64),
        "cluster_turns": turns.astype(np.float64),
    }
