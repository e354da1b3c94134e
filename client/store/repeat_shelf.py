"""Hidden repeats: what a reader answered so far, which of it may come back, and what did."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from protocol.records import Purpose

_STANDS = "id NOT IN (SELECT reading FROM withdrawals)"


@dataclass(frozen=True, slots=True)
class Past:
    """What one reader answered in a study, less what they took back.

    Attributes:
        given: the case of each answer, first ones and repeats, in the order they were given.
        first: how many of them were first answers.
        may: cases that may come back and why each was opened: the reader chose a class, was shown
            nothing but the image, and has not had it twice.
    """

    given: tuple[int, ...]
    first: int
    may: Mapping[int, Purpose]


@dataclass(frozen=True, slots=True)
class Twice:
    """A case that a reader chose a class for twice, without knowing it the second time."""

    reader: str
    case: int
    first: tuple[int, ...]
    second: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RepeatShelf:
    """Reads repeats."""

    connection: sqlite3.Connection

    def past(self, study: str, reader: str, cycle: int | None = None) -> Past:
        """What a reader answered in a study so far; an adjudicator's answers are no part of it.

        Args:
            cycle: of whose cases alone any may come back; None for all.
        """
        rows = self.connection.execute(
            'SELECT "case", stage FROM readings WHERE study = ? AND reader = ? '  # noqa: S608  # ours
            f"AND stage != 'after-ai' AND NOT adjudicating AND {_STANDS} ORDER BY id",
            (study, reader),
        ).fetchall()
        may = self.connection.execute(
            'SELECT s."case", s.purpose FROM standing s JOIN cases ON cases.id = s."case" '
            "JOIN patients ON patients.id = patient "
            "WHERE s.study = :study AND s.reader = :reader AND s.answer = 'answered' "
            "AND NOT adjudicating AND NOT excluded AND (:cycle IS NULL OR cycle = :cycle) "
            "AND NOT EXISTS (SELECT 1 FROM shown h WHERE h.study = s.study "
            'AND h."case" = s."case" AND h.reader = s.reader) '
            'AND NOT EXISTS (SELECT 1 FROM locators l WHERE l."case" = s."case" '
            "AND l.trouble != '') "
            "AND NOT EXISTS (SELECT 1 FROM readings r WHERE r.study = s.study "
            'AND r.stage = \'repeat\' AND r."case" = s."case" AND r.reader = s.reader '
            "AND r.id NOT IN (SELECT reading FROM withdrawals))",
            {"study": study, "reader": reader, "cycle": cycle},
        )
        given = tuple(case for case, _ in rows)
        return Past(given, sum(stage == "blind" for _, stage in rows), dict(may.fetchall()))

    def owed(self, study: str, cycle: int) -> Mapping[tuple[int, str], int]:
        """Repeats that were taken back and not given again, by case and reader: paid already."""
        rows = self.connection.execute(
            'SELECT r."case", r.reader, r.id '
            "FROM withdrawals w CROSS JOIN readings r ON r.id = w.reading "  # few are taken back
            "WHERE r.study = ? AND r.cycle = ? AND r.stage = 'repeat' "
            "AND NOT EXISTS (SELECT 1 FROM readings n WHERE n.replaces = r.id)",
            (study, cycle),
        )
        return {(case, reader): reading for case, reader, reading in rows}

    def twice(self, study: str) -> list[Twice]:
        """Every repeat with a class chosen, beside the reader's first answer. Never leaves."""
        rows = self.connection.execute(
            'SELECT r.reader, r."case", s.value, r.value FROM readings r '  # noqa: S608  # ours
            'JOIN standing s ON s.study = r.study AND s."case" = r."case" AND s.reader = r.reader '
            'JOIN cases ON cases.id = r."case" JOIN patients ON patients.id = patient '
            "WHERE r.study = ? AND r.stage = 'repeat' AND r.answer = 'answered' "
            f"AND s.answer = 'answered' AND NOT excluded AND r.{_STANDS} ORDER BY r.id",
            (study,),
        )
        return [
            Twice(reader, case, tuple(json.loads(first)), tuple(json.loads(second)))
            for reader, case, first, second in rows
        ]

    def secret(self) -> bytes:
        """What this database draws lots with; made by its own generator, and never told."""
        row = self.connection.execute("SELECT value FROM facts WHERE name = 'lots'").fetchone()
        return bytes.fromhex(row[0])
