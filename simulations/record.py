"""A run's own account, for people and for `compare`: one JSON line per milestone, every choice.

Written from the ledger's milestones and the sites' stores, so a continued run writes the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from client.home import open_store
from client.store.store import SiteStore
from protocol.records import CycleRecord, Evaluation
from protocol.study import Study
from server.course import Milestone
from simulations.days import days
from simulations.hospitals import Hospitals
from simulations.plan import write_text
from strategies.chosen import decisions
from strategies.metrics.combine import as_json, combine


@dataclass(slots=True)
class Record:
    """Writes `cycles.jsonl` and `choices.jsonl` of one run, whole, at every milestone.

    Attributes:
        folder: of the run.
        study: that it runs.
        hospitals: its sites.
    """

    folder: Path
    study: Study
    hospitals: Hospitals
    _lines: list[dict[str, Any]] = field(default_factory=list)
    _choices: list[dict[str, Any]] = field(default_factory=list)

    def reached(self, milestone: Milestone) -> float | None:
        """Add a milestone to the run's account; its pooled AUROC, locked before audit."""
        stores = {
            name: open_store(home, durable=False)
            for name, home in zip(self.hospitals.names, self.hospitals.homes, strict=True)
        }
        try:
            cycle = -1 if milestone.record is None else milestone.record.cycle
            self._lines.append(self._line(cycle, milestone, stores))
            self._choices += self._chosen(cycle, stores)
        finally:
            for store in stores.values():
                store.close()
        write_text(self.folder / "cycles.jsonl", _jsonl(self._lines))
        write_text(self.folder / "choices.jsonl", _jsonl(self._choices))
        return _headline(self._lines[-1]["metrics"])

    def _line(
        self, cycle: int, milestone: Milestone, stores: dict[str, SiteStore]
    ) -> dict[str, Any]:
        spent = {
            s: store.readings.so_far(self.study.identity, cycle) for s, store in stores.items()
        }
        audit = sum(t.audit for t in spent.values())
        total = sum(t.readings for t in spent.values())
        return {
            "cycle": cycle,
            "readings": total,
            "training_readings": total - audit,
            "audit_readings": audit,
            "minutes": sum(t.seconds for t in spent.values()) / 60,
            "days": days(stores, self.study, cycle),
            **_budget(milestone.record),
            "labels": {s: _by_class(store, self.study, cycle) for s, store in stores.items()},
            "site_minutes": {s: t.seconds / 60 for s, t in spent.items()},
            "loss": list(milestone.losses),
            "metrics": {
                "audit": self._metrics((s, e.audit) for s, e in milestone.evaluations.items()),
                "locked": self._metrics((s, e.locked) for s, e in milestone.evaluations.items()),
            },
        }

    def _metrics(self, parts: Iterable[tuple[str, Evaluation | None]]) -> dict[str, Any] | None:
        measured = {site: part for site, part in parts if part is not None}
        return as_json(combine(measured, self.study.task)) if measured else None

    def _chosen(self, cycle: int, stores: dict[str, SiteStore]) -> list[dict[str, Any]]:
        """The cases opened in a cycle, by the source's own keys: a simulation has no patients."""
        found: list[dict[str, Any]] = []
        for site, store in stores.items():
            openings = store.readings.opened(self.study.identity, cycle)
            names = store.cases.keys_of([o.case for o in openings])
            cases = [self.hospitals.case_of[site][name] for name in names]
            found += [
                {"cycle": cycle, "site": site, "case": case, "purpose": opening.purpose}
                for opening, case in zip(openings, cases, strict=True)
            ]
        return found


def _budget(record: CycleRecord | None) -> dict[str, Any]:
    if record is None:
        return {"granted": {}, "reasons": {}, "spent": {}, "returned": {}, "advice": ""}
    return {
        "granted": {s: g.count for s, g in record.grants.items()},
        "reasons": {s: g.reason for s, g in record.grants.items()},
        "spent": {s: p.spent for s, p in record.progress.items()},
        "returned": {s: p.returned for s, p in record.progress.items()},
        "advice": record.advice,
    }


def _by_class(store: SiteStore, study: Study, cycle: int) -> list[int]:
    """Training labels by class, rounded consensus, as they were at the end of a cycle.

    Settled anew from the readings up to then: a continued run tells of past milestones when the
    store holds the labels of later ones.
    """
    consensus = decisions(study, allow_import=True).consensus
    labels = consensus.settle(store.labels.training(study.identity, through=cycle))
    if not labels:
        return [0] * len(study.task.classes)
    return [int(v) for v in np.rint([lb.target for lb in labels.values()]).sum(axis=0)]


def _headline(metrics: dict[str, Any]) -> float | None:
    results = metrics["locked"] or metrics["audit"]
    value: float | None = results["pooled"]["auroc"][0] if results else None
    return value


def _jsonl(lines: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(line, sort_keys=True) + "\n" for line in lines)
