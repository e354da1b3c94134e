"""What is exported: one plain row for each case, reading or label, under case keys alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from client.queue import current_cycle
from client.store.export_shelf import ExportShelf
from client.store.store import SiteStore
from protocol.records import Label
from protocol.study import Study
from strategies.chosen import decisions

Row: TypeAlias = dict[str, Any]
Table: TypeAlias = Callable[[SiteStore, Study, Sequence[str]], list[Row]]

BETWEEN = "|"
"""Between the names of several classes, and between several files."""


def pool(store: SiteStore, study: Study) -> list[Row]:
    """Every case of the pool: "open" now, "read" before, or "waiting".

    Audit cases stand among the others, unmarked: whoever reads from the list is to be blind to it.
    """
    found = ExportShelf(store.connection).pool(study.identity, current_cycle(store, study))

    def state(asked: bool, read: bool) -> str:
        return "open" if asked and not read else "read" if read else "waiting"

    return [{"case": r.key, "patient": r.patient, "state": state(r.asked, r.read)} for r in found]


def readings(store: SiteStore, study: Study) -> list[Row]:
    """Every answer, as it was given; those taken back are marked."""
    return [
        {
            "case": r.key,
            "cycle": r.cycle,
            "reader": r.reader,
            "at": r.at,
            "seconds": r.seconds,
            "answer": r.answer,
            "value": names(study, json.loads(r.value)),
            "stage": r.stage,
            "adjudicating": _yes(r.adjudicating),
            "confidence": r.confidence or "",
            "reason": r.reason,
            "comment": r.comment,
            "withdrawn": _yes(r.withdrawn),
        }
        for r in ExportShelf(store.connection).given(study.identity)
    ]


def labels(store: SiteStore, study: Study, packages: Sequence[str] = ()) -> list[Row]:
    """What consensus makes of the readings now; audit cases are marked, never to be trained on.

    A tie has no label, only the shares of its classes.

    Args:
        store: of the site.
        study: approved there.
        packages: those outside the project in which its strategies may be.
    """
    settle = decisions(study, tuple(packages)).consensus.settle
    after_ai = study.reading.trains == "after-ai"
    shelf = store.labels
    rows = _labels(study, settle(shelf.training(study.identity, after_ai=after_ai)), "training")
    rows += _labels(study, settle(shelf.audit(study.identity)), "audit")
    known = ExportShelf(store.connection).cases([row["case"] for row in rows])
    return [{**row, "patient": known[row["case"]][1]} for row in rows if row["case"] in known]


def _labels(study: Study, settled: Mapping[str, Label], part: str) -> list[Row]:
    return [
        {
            "case": key,
            "patient": "",
            "part": part,
            "label": names(study, _hard(study, label.target)),
            "settled": _yes(_hard(study, label.target)),
            "readings": label.readings,
            **{
                f"share of {name}": round(share, 6)
                for name, share in zip(study.task.names, label.target, strict=True)
            },
        }
        for key, label in sorted(settled.items())
    ]


def names(study: Study, value: Sequence[int] | None) -> str:
    """The classes that are 1 in a value, by name."""
    return BETWEEN.join(n for n, v in zip(study.task.names, value or (), strict=False) if v)


def _hard(study: Study, target: Sequence[float]) -> list[int] | None:
    """0 and 1 for each class; None where the readers are divided."""
    if study.task.multi_label:
        return None if 0.5 in target else [int(share > 0.5) for share in target]
    most = max(target)
    return None if list(target).count(most) > 1 else [int(share == most) for share in target]


def _yes(said: object) -> str:
    return "yes" if said else ""


TABLES: Mapping[str, Table] = {
    "pool": lambda store, study, packages: pool(store, study),
    "readings": lambda store, study, packages: readings(store, study),
    "labels": labels,
}
