"""What a finished run did, read back from its sites' databases and its ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client.home import open_store
from client.learning.networks import initial_arrays
from client.store.store import SiteStore
from protocol.codec import digest
from protocol.records import SiteEvaluation, SiteReport, UpdateNumbers
from protocol.study import Study
from server.ledger import Ledger, Stage
from server.models import ModelShelf
from simulations.benchmarks.plain_loop import Recipe, SiteWork
from strategies.chosen import decisions


@dataclass(frozen=True, slots=True)
class Counted:
    """What a run did by its own account: optimizer steps, and images that were only looked at."""

    steps: int
    scored: int


def recipe_of(study: Study, folder: Path) -> Recipe:
    """The work of a finished run without wrong or missing answers, cycle by cycle."""
    weights = initial_arrays(study)
    ledger = Ledger.open(folder / "ledger.db", study, digest(weights), durable=False)
    count = _cycles(ledger)
    stores = [open_store(folder / "sites" / name, durable=False) for name in ledger.sites()]
    try:
        first = [_rows(store, store.cases.locked()[0]) for store in stores]
        work = [[_work(store, study, cycle, count) for store in stores] for cycle in range(count)]
    finally:
        ledger.close()
        for store in stores:
            store.close()
    return Recipe(study, weights, [(rows,) for rows in first], work)


def counted(study: Study, folder: Path, *, features: bool) -> Counted:
    """The steps and images of a finished run, as its records tell them.

    Args:
        study: of the run.
        folder: of the run.
        features: the strategy also asked for the features of labeled cases.
    """
    ledger = Ledger.open(folder / "ledger.db", study, digest(initial_arrays(study)), durable=False)
    steps = scored = 0
    rounds = study.training.rounds_per_cycle
    try:
        scored += _evaluated(ledger, Stage(0, "evaluate", 0))
        for cycle in range(_cycles(ledger)):
            told = ledger.records(Stage(cycle, "report"), SiteReport) or {}
            labeled = cycle > 0 and features
            scored += sum(r.pool + (r.labeled if labeled else 0) for r in told.values())
            scored += _evaluated(ledger, Stage(cycle, "evaluate", rounds))
            for round_ in range(rounds):
                updates = ledger.records(Stage(cycle, "train", round_), UpdateNumbers) or {}
                steps += sum(update.steps for update in updates.values())
    finally:
        ledger.close()
    return Counted(steps, scored)


def last_model(study: Study, folder: Path) -> tuple[bytes, dict[str, NDArray[np.float32]]]:
    """A finished run's last model file: its bytes, and its arrays."""
    names = sorted(path.name for path in (folder / "models").glob("*.safetensors"))
    state = ModelShelf(folder / "models").load(names[-1])
    return (folder / "models" / names[-1]).read_bytes(), dict(state.arrays)


def _cycles(ledger: Ledger) -> int:
    cycle = 0
    while ledger.file(Stage(cycle, "train", 0)) is not None:
        cycle += 1
    return cycle


def _evaluated(ledger: Ledger, stage: Stage) -> int:
    told = ledger.records(stage, SiteEvaluation) or {}
    parts = [part for e in told.values() for part in (e.audit, e.locked)]
    return sum(part.cases for part in parts if part is not None)


def _work(store: SiteStore, study: Study, cycle: int, cycles: int) -> SiteWork:
    identity, share = study.identity, study.audit.patients
    read: list[dict[str, list[int]]] = []  # of each cycle: case ids by purpose
    for c in range(cycles):
        answered = store.readings.answers(identity, c)
        by_purpose: dict[str, list[int]] = {"query": [], "explore": [], "audit": []}
        for opening in store.readings.opened(identity, c):
            if opening.case in answered:
                by_purpose[opening.purpose].append(opening.case)
        read.append(by_purpose)
    training = [sorted(r["query"] + r["explore"]) for r in read]
    untouched = store.cases.pool(identity, share, -1).tolist()
    ids, targets = store.labels.settled(identity)
    labeled = sorted(chain(*training[: cycle + 1]))
    audit = sorted(chain(*(r["audit"] for r in read[: cycle + 1])))
    parts = [_rows(store, part) for part in (audit, store.cases.locked()[0]) if len(part)]
    asks = cycle > 0 and "labeled_features" in decisions(study).query.needs.signals
    return SiteWork(
        pool=_rows(store, sorted(chain(untouched, *training[cycle:]))),
        before=_rows(store, sorted(chain(*training[:cycle])) if asks else []),
        labeled=_rows(store, labeled),
        targets=targets[np.isin(ids, labeled)],
        evaluated=tuple(parts),
    )


def _rows(store: SiteStore, ids: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    return store.cases.rows(np.asarray(ids, dtype=np.int64))
