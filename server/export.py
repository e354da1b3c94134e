"""A study's model as a plain safetensors file, and its card: whence it comes, what it is worth.

The model is the newest one that was measured, so that the numbers on the card are its own.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any

from safetensors.numpy import save

from protocol.codec import digest
from protocol.files import replace_file
from protocol.records import Arrays, SiteEvaluation
from protocol.study import Study, document
from server import account
from server.card import card_text
from server.gain import gains
from server.home import ServerPaths
from server.ledger import Ledger, Stage
from server.models import ModelShelf
from server.registry.presence_shelf import PresenceShelf
from server.registry.registry import Registry, now
from server.registry.study_shelf import StudyRow, StudyShelf
from server.study_folder import StudyFolder
from strategies.metrics.combine import as_json, combine


def export_study(paths: ServerPaths, registry: Registry, asked: str, out: Path) -> dict[str, Any]:
    """Write `model.safetensors`, `card.json` and `card.md`; the card.

    Args:
        paths: of the server's home.
        registry: of the server.
        asked: the study's name, or the beginning of its identity.
        out: folder; made if it is not there, its three files are replaced.

    Raises:
        ValueError: no study, or more than one, is meant; or nothing was measured yet.
    """
    row = StudyShelf(registry.connection).find(asked)
    folder = StudyFolder(paths.studies / row.folder)
    study = folder.study()
    try:
        ledger = Ledger.look(folder.folder / "ledger.db")
    except FileNotFoundError:
        raise _nothing(row) from None
    with closing(ledger):
        stage = _measured(row, ledger)
        arrays = _model(folder, ledger, stage)
        block = save(dict(arrays))
        card = _card(row, study, registry)
        card |= {"model": _about(arrays, block, stage)} | _course(study, ledger, stage)
    out.mkdir(parents=True, exist_ok=True)
    replace_file(out / "model.safetensors", block, sync=True)
    replace_file(out / "card.md", card_text(card).encode(), sync=True)
    replace_file(out / "card.json", json.dumps(card, indent=1).encode(), sync=True)
    return card


def _nothing(row: StudyRow) -> ValueError:
    return ValueError(f"study {row.name} has no measured model yet; accepted is a study that has")


def _measured(row: StudyRow, ledger: Ledger) -> Stage:
    """The newest evaluation."""
    found = [c.stage for c in ledger.committed() if c.stage.step == "evaluate"]
    if not found:
        raise _nothing(row)
    return found[-1]


def _model(folder: StudyFolder, ledger: Ledger, measured: Stage) -> Arrays:
    """The arrays that an evaluation measured: the first weights, or those after its round."""
    if measured.round == 0:
        return folder.weights()
    file = ledger.file(Stage(measured.cycle, "train", measured.round - 1))
    if not file:
        raise ValueError(f"{folder.folder}: the ledger names no model file for what was measured")
    return ModelShelf(folder.folder / "models").load(file).arrays


def _about(arrays: Arrays, block: bytes, measured: Stage) -> dict[str, Any]:
    return {
        "file": "model.safetensors",
        "sha256": hashlib.sha256(block).hexdigest(),
        "hash": digest(arrays),
        "arrays": len(arrays),
        "parameters": sum(array.size for array in arrays.values()),
        "cycle": measured.cycle,
        "rounds": measured.round,
    }


def _card(row: StudyRow, study: Study, registry: Registry) -> dict[str, Any]:
    there = PresenceShelf(registry.connection).all()
    content = document(study)
    content.pop("simulation", None)
    return {
        "format": 1,
        "study": row.name,
        "identity": row.identity,
        "weights": row.weights,
        "asked_by": row.asked_by,
        "state": row.state,
        "finished": row.state == "ended",
        "submitted": row.submitted,
        "changed": row.changed,
        "exported": now(),
        "code": version("wardround"),
        "sites": {name: dict(there[name].versions) if name in there else {} for name in row.sites},
        "document": content,
    }


def _course(study: Study, ledger: Ledger, measured: Stage) -> dict[str, Any]:
    """Up to this model: cycles, readings by site, its metrics; and dates."""
    committed = ledger.committed()
    readings = {
        site: {"granted": 0, "spent": 0, "returned": 0, "minutes": 0.0} for site in ledger.sites()
    }
    for cycle in range(measured.cycle + 1 if measured.round else 0):  # what this model knows of
        for site, parts in account.grants(ledger, cycle).items():
            readings[site]["granted"] += sum(grant.count for grant in parts)
        for site, told in account.progress(ledger, cycle).items():
            readings[site]["spent"] += told.spent
            readings[site]["returned"] += told.returned
            readings[site]["minutes"] += told.minutes
    measurements = ledger.records(measured, SiteEvaluation) or {}
    audit = {site: e.audit for site, e in measurements.items() if e.audit is not None}
    return {
        "cycles": sum(c.stage.step == "evaluate" and c.stage.round > 0 for c in committed),
        "unit": study.budget.unit,
        "budget": study.budget.total,
        "readings": readings,
        "audit": as_json(combine(audit, study.task)) if audit else None,
        "gains": [g.document() for g in gains(ledger, study) if g.cycle <= measured.cycle],
        "first_step": committed[0].at.isoformat(),
        "last_step": committed[-1].at.isoformat(),
    }
