"""What an export reads: cases with where they stand, and everything that was answered."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

_OURS = "JOIN patients p ON p.id = c.patient WHERE NOT p.excluded AND NOT p.practising"


class PoolRow(NamedTuple):
    """A case of the pool; `row` is its place in the source."""

    case: int
    key: str
    patient: str
    row: int
    asked: bool
    read: bool


class GivenRow(NamedTuple):
    """An answer as it was given, also one that was taken back."""

    case: int
    key: str
    cycle: int
    reader: str
    at: str
    seconds: float
    answer: str
    value: str
    stage: str
    adjudicating: bool
    confidence: int | None
    reason: str
    comment: str
    withdrawn: bool


@dataclass(frozen=True, slots=True)
class ExportShelf:
    """Reads for exports; of excluded patients and practice cases it tells nothing."""

    connection: sqlite3.Connection

    def pool(self, study: str, cycle: int | None) -> list[PoolRow]:
        """Every case that may be asked for, by id: audit cases, too, and nothing marks them.

        Args:
            study: its identity.
            cycle: the open one, whose cases readers are asked; None where none is open.
        """
        rows = self.connection.execute(
            "SELECT c.id, c.key, p.key, c.row, "  # noqa: S608  # ours
            "EXISTS (SELECT 1 FROM openings o WHERE o.study = :study AND o.cycle = :cycle "
            'AND o."case" = c.id), '
            'EXISTS (SELECT 1 FROM standing s WHERE s.study = :study AND s."case" = c.id) '
            f"FROM cases c {_OURS} AND c.split = 'pool' ORDER BY c.id",
            {"study": study, "cycle": cycle},
        )
        return [PoolRow(*row) for row in rows]

    def given(self, study: str) -> list[GivenRow]:
        """Every answer in the order in which they were kept."""
        rows = self.connection.execute(
            "SELECT c.id, c.key, r.cycle, r.reader, r.at, r.seconds, r.answer, r.value, r.stage, "  # noqa: S608  # ours
            "r.adjudicating, r.confidence, r.reason, r.comment, "
            "r.id IN (SELECT reading FROM withdrawals) "
            f'FROM readings r JOIN cases c ON c.id = r."case" {_OURS} AND r.study = ? '
            "ORDER BY r.id",
            (study,),
        )
        return [GivenRow(*row) for row in rows]

    def cases(self, keys: list[str]) -> Mapping[str, tuple[int, str, int]]:
        """Id, patient's key and row of each case key that is known."""
        rows = self.connection.execute(
            f"SELECT c.key, c.id, p.key, c.row FROM cases c {_OURS} "  # noqa: S608  # ours
            "AND c.key IN (SELECT value FROM json_each(?))",
            (json.dumps(keys),),
        )
        return {key: (case, patient, row) for key, case, patient, row in rows}
