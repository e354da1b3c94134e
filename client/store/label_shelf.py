"""What was answered, for those who make labels of it, and the labels that came of it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocol.records import Indices, Label, Reading

_TRAINING = "('query', 'explore')"


@dataclass(frozen=True, slots=True)
class LabelShelf:
    """Reads answers for consensus, and writes and reads training labels."""

    connection: sqlite3.Connection

    def training(
        self, study: str, through: int | None = None, *, after_ai: bool = False
    ) -> list[Reading]:
        """Every answer to a case that may be trained on, in order; through a cycle, or to now.

        Args:
            after_ai: where a reader changed their mind on seeing the model's opinion, that answer
                in the place of their first.
        """
        clause = f"purpose IN {_TRAINING}"
        if through is not None:
            clause += f" AND cycle <= {int(through)}"
        return _readings(self.connection, study, clause, "reconsidered" if after_ai else "standing")

    def audit(self, study: str) -> list[Reading]:
        """Every answer to an audit case, in order. For the evaluate step alone."""
        return _readings(self.connection, study, "purpose = 'audit'")

    def chosen(self, study: str) -> list[Reading]:
        """Every first answer with a class, adjudicators' aside, in order; for the site's admin."""
        return _readings(self.connection, study, "answer = 'answered' AND NOT adjudicating")

    def settle(self, study: str, labels: Mapping[str, Label]) -> None:
        """Replace the study's training labels by these, by case key."""
        self.connection.execute("DELETE FROM labels WHERE study = ?", (study,))
        self.connection.executemany(
            "INSERT INTO labels SELECT ?, id, ?, ? FROM cases WHERE key = ?",
            [(study, json.dumps(lb.target), lb.readings, key) for key, lb in labels.items()],
        )

    def settled(self, study: str) -> tuple[Indices, NDArray[np.float32]]:
        """Ids of the labeled cases (m,) by id, and their (m, classes) targets."""
        rows = self.connection.execute(
            'SELECT "case", target FROM labels JOIN cases ON cases.id = "case" '
            "JOIN patients ON patients.id = patient "
            'WHERE study = ? AND NOT excluded ORDER BY "case"',
            (study,),
        ).fetchall()
        targets = np.array([json.loads(row[1]) for row in rows], dtype=np.float32)
        return np.array([row[0] for row in rows], dtype=np.int64), targets

    def came(self, study: str) -> Mapping[int, tuple[int, str]]:
        """For each case that may be trained on: the cycle and the purpose of its first answer."""
        rows = self.connection.execute(
            'SELECT "case", cycle, purpose FROM standing '  # noqa: S608  # ours
            f"WHERE study = ? AND purpose IN {_TRAINING} ORDER BY id DESC",
            (study,),
        )
        return {case: (cycle, purpose) for case, cycle, purpose in rows}


def _readings(
    connection: sqlite3.Connection, study: str, clause: str, view: str = "standing"
) -> list[Reading]:
    rows = connection.execute(
        "SELECT cases.key, reader, at, seconds, answer, value, adjudicating, stage "  # noqa: S608  # ours
        f'FROM {view} AS readings JOIN cases ON cases.id = "case" '
        "JOIN patients ON patients.id = patient "
        f"WHERE study = ? AND NOT excluded AND {clause} ORDER BY readings.id",
        (study,),
    )
    return [
        Reading(case, reader, at, secs, answer, tuple(json.loads(value)), bool(settles), stage)
        for case, reader, at, secs, answer, value, settles, stage in rows
    ]
