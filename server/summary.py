"""Where a study stands, in a few numbers: for the command `status` and for the dashboard."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

from protocol.study import Study
from server import account
from server.ledger import Ledger
from server.registry.study_shelf import StudyRow
from server.study_folder import StudyFolder


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
                return f"{done}people are reading"
            case "evaluate":
                return f"{done}measured"
            case step:
                return f"{done}{step} done"

    def document(self) -> dict[str, Any]:
        """All of it as JSON types, the words too."""
        return {**asdict(self), "words": self.words}


def summary(folder: StudyFolder, row: StudyRow) -> Summary:
    """Where the study in that folder stands; before its first start nothing is granted."""
    study = folder.study()
    try:
        ledger = Ledger.look(folder.folder / "ledger.db")
    except FileNotFoundError:
        return _summary(row, study, None, "", 0, (0, 0, 0))
    with closing(ledger):
        committed = ledger.committed()
        newest = committed[-1].stage if committed else None
        begun = account.cycles(ledger)
        sums = [_sums(ledger, cycle) for cycle in range(begun)]
        totals = tuple(sum(column) for column in zip(*sums, strict=True)) if sums else (0, 0, 0)
        step, round_ = (newest.step, newest.round) if newest else ("", 0)
        return _summary(row, study, begun - 1 if begun else None, step, round_, totals)


def _sums(ledger: Ledger, cycle: int) -> tuple[int, int, int]:
    """Granted, spent and returned of one cycle."""
    granted = sum(g.count for parts in account.grants(ledger, cycle).values() for g in parts)
    told = account.progress(ledger, cycle).values()
    return granted, sum(p.spent for p in told), sum(p.returned for p in told)


def _summary(
    row: StudyRow,
    study: Study,
    cycle: int | None,
    step: str,
    round_: int,
    totals: tuple[int, ...],
) -> Summary:
    granted, spent, returned = totals
    return Summary(
        identity=row.identity,
        name=row.name,
        state=row.state,
        asked_by=row.asked_by,
        submitted=row.submitted,
        cycle=cycle,
        step=step,
        round=round_,
        granted=granted,
        spent=spent,
        returned=returned,
        open=granted - spent - returned,
        budget=study.budget.total,
        unit=study.budget.unit,
    )
