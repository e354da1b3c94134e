"""Openings, readings and labels: what readers are asked, what they answered, what came of it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from protocol.records import Answer, Purpose, Reading


@dataclass(frozen=True, slots=True)
class Opening:
    """A case put before the readers in one cycle.

    Attributes:
        case: its id in the database.
        purpose: why; readers never see it.
        probs: (classes,) what the global model said when it was opened, for prequential loss;
            None for audit cases, about which the model is not asked.
        position: its place in the cycle's reading order; -1 before it is open.
    """

    case: int
    purpose: Purpose
    probs: tuple[float, ...] | None = None
    position: int = field(default=-1, compare=False)


@dataclass(frozen=True, slots=True)
class Remarks:
    """What is kept beside an answer.

    Attributes:
        submission: the key that the page made for it; None for answers that no page sent.
        confidence: 1 to 5; None where the reader said nothing.
        reason: why the case could not be read; "" for other answers.
        comment: in the reader's words.
        replaces: the withdrawn reading, by its id, that this one stands for.
    """

    submission: str | None = None
    confidence: int | None = None
    reason: str = ""
    comment: str = ""
    replaces: int | None = None


NO_REMARKS = Remarks()

_ONE = ' AND "case" = ?'

_unsaid = lru_cache(maxsize=1 << 14)(Opening)
"""The queue looks at every opening for every answer; making them anew took longer than all else."""

_APPEND = (
    'INSERT INTO readings (study, cycle, "case", purpose, reader, at, seconds, answer, value, '
    "adjudicating, stage, submission, confidence, reason, comment, replaces) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


@dataclass(frozen=True, slots=True)
class Total:
    """What a site's readers have done so far.

    Attributes:
        readings: answers of every purpose.
        audit: of those, to audit cases.
        seconds: active seconds.
        latest: when the last answer was given, ISO 8601; "" before the first.
    """

    readings: int
    audit: int
    seconds: float
    latest: str


@dataclass(frozen=True, slots=True)
class ReadingShelf:
    """Reads and writes openings, readings and labels of studies."""

    connection: sqlite3.Connection

    def open(self, study: str, cycle: int, openings: Sequence[Opening]) -> None:
        """Put cases before the readers, behind those already open in this cycle."""
        first = self.connection.execute(
            "SELECT max(coalesce((SELECT max(position) + 1 FROM openings "
            "WHERE study = :study AND cycle = :cycle), 0), coalesce((SELECT positions "
            "FROM purged_work WHERE study = :study AND cycle = :cycle), 0))",
            {"study": study, "cycle": cycle},
        ).fetchone()[0]
        self.connection.executemany(
            "INSERT INTO openings VALUES (?, ?, ?, ?, ?, ?)",
            [
                (study, cycle, first + i, o.case, o.purpose, o.probs and json.dumps(o.probs))
                for i, o in enumerate(openings)
            ],
        )

    def opened(
        self, study: str, cycle: int, *, probs: bool = True, case: int | None = None
    ) -> list[Opening]:
        """The cases put before readers in a cycle, in reading order; the queue needs no probs.

        Args:
            case: only this one, if it is among them.
        """
        rows = self.connection.execute(
            f'SELECT "case", purpose, {"probs" if probs else "NULL"}, position '  # noqa: S608  # ours
            'FROM openings JOIN cases ON cases.id = "case" '
            "JOIN patients ON patients.id = patient "
            f"WHERE study = ? AND cycle = ?{_ONE if case else ''} AND NOT excluded "
            "ORDER BY position",
            (study, cycle, case) if case else (study, cycle),
        )
        return [
            Opening(case, purpose, tuple(json.loads(said)), position)
            if said
            else _unsaid(case, purpose, None, position)
            for case, purpose, said, position in rows
        ]

    def read_for(self, study: str, purpose: Purpose) -> int:
        """How many cases that were opened for a purpose somebody has read."""
        row = self.connection.execute(
            'SELECT count(DISTINCT "case") FROM standing WHERE study = ? AND purpose = ?',
            (study, purpose),
        ).fetchone()
        return int(row[0])

    def open_for(self, study: str, cycle: int, purpose: Purpose) -> int:
        """How many cases are open for a purpose in a cycle that nobody has read yet."""
        row = self.connection.execute(
            "SELECT count(*) FROM openings o WHERE study = ? AND cycle = ? AND purpose = ? "
            "AND NOT EXISTS (SELECT 1 FROM standing r WHERE r.study = o.study "
            'AND r."case" = o."case")',
            (study, cycle, purpose),
        ).fetchone()
        return int(row[0])

    def grant(self, study: str, cycle: int, sequence: int, count: int) -> None:
        """Record a grant; a top-up is a further one of the same cycle."""
        self.connection.execute(
            "INSERT INTO grants VALUES (?, ?, ?, ?)", (study, cycle, sequence, count)
        )

    def granted(self, study: str, cycle: int | None = None) -> int:
        """The budget granted in a cycle, or in all of them, in the study's unit."""
        row = self.connection.execute(
            "SELECT coalesce(sum(count), 0) FROM grants "
            "WHERE study = :study AND (:cycle IS NULL OR cycle = :cycle)",
            {"study": study, "cycle": cycle},
        ).fetchone()
        return int(row[0])

    def add(
        self,
        study: str,
        cycle: int,
        case: int,
        purpose: Purpose,
        reading: Reading,
        remarks: Remarks = NO_REMARKS,
    ) -> None:
        """Append one answer. Durable once the transaction around it has committed."""
        self.connection.execute(_APPEND, (study, cycle, case, purpose, *_told(reading, remarks)))

    def answers(
        self, study: str, cycle: int, *, case: int | None = None
    ) -> Mapping[int, Mapping[str, Answer]]:
        """The kind of answer that each reader gave to each case in a cycle, or to this one."""
        rows = self.connection.execute(
            'SELECT "case", reader, answer FROM standing '  # noqa: S608  # ours
            f"WHERE study = ? AND cycle = ?{_ONE if case else ''} ORDER BY id",
            (study, cycle, case) if case else (study, cycle),
        )
        found: dict[int, dict[str, Answer]] = {}
        for case, reader, answer in rows:
            found.setdefault(case, {})[reader] = answer
        return found

    def spent(self, study: str, cycle: int | None = None) -> tuple[int, float]:
        """Answers given and their active seconds, in a cycle or in all of them, purged ones too.

        One withdrawn stays counted, the one in its place and what came after seeing the AI do not.
        """
        row = self.connection.execute(
            "SELECT coalesce(sum(n), 0), coalesce(sum(s), 0.0) FROM ("
            "SELECT count(*) - count(replaces) AS n, sum(seconds) AS s FROM readings "
            "WHERE study = :study AND stage != 'after-ai' AND (:cycle IS NULL OR cycle = :cycle) "
            "UNION ALL SELECT readings, seconds FROM purged_work "
            "WHERE study = :study AND (:cycle IS NULL OR cycle = :cycle))",
            {"study": study, "cycle": cycle},
        ).fetchone()
        return int(row[0]), float(row[1])

    def seconds_of(self, study: str, cycle: int, reader: str) -> float:
        """Active seconds of one reader in a cycle. Never leaves the site."""
        row = self.connection.execute(
            "SELECT coalesce(sum(seconds), 0.0) FROM readings "
            "WHERE study = ? AND cycle = ? AND reader = ?",
            (study, cycle, reader),
        ).fetchone()
        return float(row[0])

    def so_far(self, study: str, cycle: int) -> Total:
        """All answers given up to and including a cycle, purged ones too but for their time."""
        row = self.connection.execute(
            "SELECT sum(n), coalesce(sum(a), 0), coalesce(sum(s), 0.0), coalesce(max(t), '') FROM ("
            "SELECT count(*) - count(replaces) AS n, "
            "sum(purpose = 'audit' AND replaces IS NULL) AS a, sum(seconds) AS s, max(at) AS t "
            "FROM readings WHERE study = :study AND stage != 'after-ai' AND cycle <= :cycle "
            "UNION ALL SELECT readings, audit, seconds, '' FROM purged_work "
            "WHERE study = :study AND cycle <= :cycle)",
            {"study": study, "cycle": cycle},
        ).fetchone()
        return Total(*row)


def _told(reading: Reading, remarks: Remarks) -> tuple[object, ...]:
    """What a reader said, in the order of `_APPEND`."""
    value = json.dumps(list(reading.value))
    said = (reading.reader, reading.at, reading.seconds, reading.answer, value)
    beside = (remarks.submission, remarks.confidence, remarks.reason, remarks.comment)
    how = (int(reading.adjudicating), reading.stage)
    return (*said, *how, *beside, remarks.replaces)
