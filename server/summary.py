"""Where a study stands, in a few numbers: for the command `status` and for the dashboard."""

from __future__ import annotations

import sqlite3
import tomllib
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from protocol import block

if TYPE_CHECKING:
    from server.registry.study_shelf import StudyRow


@dataclass(frozen=True, slots=True)
class Summary:
    """A study as its ledger has it.

    Attributes:
        identity: of the study.
        name: as the study file says.
        state: of its row in the registry.
        asked_by: the study lead.
        submitted: UTC, ISO 8601.
        cycle: the newest one, from 0; None before the first.
        step: the newest committed step; "" before the first.
        round: of that step.
        granted: over all cycles, in the budget's unit; granted = spent + returned once every
            cycle's readings are closed.
        spent: with what is held for sites that are away.
        returned: what sites did not use.
        open: of what was granted, what people may still spend.
        budget: of the whole study.
        unit: "readings" or "minutes".
    """

    identity: str
    name: str
    state: str
    asked_by: str
    submitted: str
    cycle: int | None
    step: str
    round: int
    granted: int
    spent: int
    returned: int
    open: int
    budget: int
    unit: str

    @property
    def words(self) -> str:
        """Where it stands, in words."""
        if self.cycle is None:
            return "waits for its sites" if self.state == "running" else "never began"
        done = f"cycle {self.cycle + 1}: "
        match self.step:
            case "train":
                return f"{done}trained round {self.round + 1}"
            case "select" | "allocate":
                now = self.state == "running"
                return f"{done}{'people are reading' if now else 'cases were open to readers'}"
            case "evaluate":
                return f"{done}measured"
            case "compare":
                return f"{done}held against asking at random"
            case step:
                return f"{done}{step} done"

    def document(self) -> dict[str, Any]:
        """All of it as JSON types, the words too."""
        return {**asdict(self), "words": self.words}


def summary(folder: Path, row: StudyRow) -> Summary:
    """Where the study in that folder stands; before its first start nothing is granted.

    The ledger's rows are read without numpy, since `status` should answer at once; the sums are
    those of `server.account`.

    Raises:
        OSError: the study file or the ledger cannot be read.
        ValueError: the study file does not fit.
        sqlite3.Error: the ledger is not one.
    """
    total, unit = _budget(folder / "study.toml")
    newest, rows = _ledger(folder / "ledger.db")
    granted, told = 0, {}
    for cycle, step, site, document in rows:
        if step == "allocate":
            granted += int(document["count"])
        else:  # the newest word of a site about a cycle counts
            told[cycle, site] = (int(document["spent"]), int(document["returned"]))
    spent, returned = (sum(pair[i] for pair in told.values()) for i in (0, 1))
    begun, step, round_ = newest
    return Summary(
        identity=row.identity,
        name=row.name,
        state=row.state,
        asked_by=row.asked_by,
        submitted=row.submitted,
        cycle=begun - 1 if begun else None,
        step=step,
        round=round_,
        granted=granted,
        spent=spent,
        returned=returned,
        open=granted - spent - returned,
        budget=total,
        unit=unit,
    )


def _budget(file: Path) -> tuple[int, str]:
    """How much the frozen study may spend, and of what."""
    budget = tomllib.loads(file.read_text(encoding="utf-8")).get("budget", {})
    if {"total", "unit"} <= budget.keys():  # freezing writes every key
        return int(budget["total"]), str(budget["unit"])
    from protocol.study import load  # slow, and not needed

    study = load(file)
    return study.budget.total, study.budget.unit


def _ledger(file: Path) -> tuple[tuple[int, str, int], list[tuple[int, str, str, Any]]]:
    """How many cycles began, the newest step and its round; then what was granted and told, as
    cycle, step, site and document, in the order of their commits.
    """
    if not file.exists():
        return (0, "", 0), []
    with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as db:
        db.execute("BEGIN")  # both questions see the same steps
        begun = db.execute("SELECT COUNT(*) FROM steps WHERE step = 'report'").fetchone()[0]
        newest = db.execute("SELECT step, round FROM steps ORDER BY rowid DESC LIMIT 1").fetchone()
        rows = db.execute(_TOLD).fetchall()
    told = [(cycle, step, site, block.document(packed)) for cycle, step, site, packed in rows]
    return (begun, *(newest or ("", 0))), told


_TOLD = """
SELECT r.cycle, r.step, r.site, r.block FROM records r
JOIN steps s USING (study, cycle, step, round, sequence)
WHERE r.step IN ('allocate', 'read', 'settle') ORDER BY s.rowid
"""
