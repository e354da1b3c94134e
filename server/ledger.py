"""The server's database: every step of a study, committed before the next one begins.

A step is committed with the records that belong to it, one per site; a run that died goes on from
the first step that is not there.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from daemons.migrations import migrate
from protocol.codec import pack, unpack
from protocol.study import Study, document, parse

R = TypeVar("R")

_MIGRATIONS = (
    """
    CREATE TABLE runs (
        study TEXT PRIMARY KEY,
        document TEXT NOT NULL,
        weights TEXT NOT NULL,
        sites TEXT NOT NULL,
        epoch INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE steps (
        study TEXT NOT NULL REFERENCES runs (study),
        cycle INTEGER NOT NULL,
        step TEXT NOT NULL,
        round INTEGER NOT NULL,
        sequence INTEGER NOT NULL,
        file TEXT NOT NULL,
        at TEXT NOT NULL,
        PRIMARY KEY (study, cycle, step, round, sequence)
    );
    CREATE TABLE records (
        study TEXT NOT NULL,
        cycle INTEGER NOT NULL,
        step TEXT NOT NULL,
        round INTEGER NOT NULL,
        sequence INTEGER NOT NULL,
        site TEXT NOT NULL,
        block BLOB NOT NULL,
        PRIMARY KEY (study, cycle, step, round, sequence, site),
        FOREIGN KEY (study, cycle, step, round, sequence)
            REFERENCES steps (study, cycle, step, round, sequence)
    );
    """,
)


class NotThisStudy(ValueError):
    """The ledger holds another study, other first weights or other sites than were asked for."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Which step of the loop: the part of a step's key that changes within a study."""

    cycle: int
    step: str
    round: int = 0
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class Committed:
    """A step that is in the ledger, the model file that it made ("" for none), and when."""

    stage: Stage
    file: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Ledger:
    """One study's committed steps, in one SQLite file."""

    connection: sqlite3.Connection
    study: str

    @classmethod
    def open(cls, path: Path, study: Study, weights: str, *, durable: bool = True) -> Ledger:
        """The ledger in that file, begun for this study if the file is new.

        Args:
            path: of the database; its folder must exist.
            study: what is run.
            weights: the hash of its first weights.
            durable: commits survive a power cut, at the price of a sync to disk each.

        Raises:
            NotThisStudy: the file belongs to another study or other first weights.
            SchemaTooNew: a newer wardround wrote it.
        """
        connection = sqlite3.connect(path, isolation_level=None, timeout=30.0)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'OFF'}")
        connection.execute("PRAGMA foreign_keys = ON")
        migrate(connection, _MIGRATIONS)
        ledger = cls(connection, study.identity)
        ledger._begin(study, weights)
        return ledger

    @classmethod
    def look(cls, path: Path) -> Ledger:
        """The ledger in that file, to be read only, while a ServerApp may be writing it.

        Raises:
            FileNotFoundError: there is none, or nothing was begun in it.
            SchemaTooNew: a newer wardround wrote it.
        """
        if not path.exists():
            raise FileNotFoundError(f"{path}: no ledger")
        uri = f"{path.resolve().as_uri()}?mode=ro"
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=30.0)
        if connection.execute("PRAGMA user_version").fetchone()[0] != len(_MIGRATIONS):
            migrate(connection, _MIGRATIONS)  # says so where the file is too new
        row = connection.execute("SELECT study FROM runs").fetchone()
        if row is None:
            connection.close()
            raise FileNotFoundError(f"{path}: no study was begun in it")
        return cls(connection, str(row[0]))

    def next_epoch(self) -> int:
        """One more than any ServerApp of this study has had, and remembered."""
        row = self.connection.execute(
            "UPDATE runs SET epoch = epoch + 1 WHERE study = ? RETURNING epoch", (self.study,)
        )
        return int(row.fetchall()[0][0])

    def settle_sites(self, sites: Sequence[str]) -> None:
        """Fix which sites take part, in site order.

        Raises:
            NotThisStudy: the study began with other sites.
        """
        known = self.sites()
        if known and list(sites) != known:
            raise NotThisStudy(
                f"this study began with {len(known)} sites: {', '.join(known)}; "
                f"accepted are the same, there were: {', '.join(sites)}"
            )
        self.connection.execute(
            "UPDATE runs SET sites = ? WHERE study = ?", (json.dumps(list(sites)), self.study)
        )

    def sites(self) -> list[str]:
        """The sites that take part, in site order; empty before the first start."""
        row = self.connection.execute(
            "SELECT sites FROM runs WHERE study = ?", (self.study,)
        ).fetchone()
        return [str(name) for name in json.loads(row[0])]

    def commit(self, stage: Stage, records: Mapping[str, object], file: str = "") -> None:
        """Commit a step with its records by site, and the model file that it made, if any."""
        key = (self.study, stage.cycle, stage.step, stage.round, stage.sequence)
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            self.connection.execute(
                "INSERT INTO steps VALUES (?, ?, ?, ?, ?, ?, ?)", (*key, file, at)
            )
            self.connection.executemany(
                "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(*key, site, pack(record)) for site, record in records.items()],
            )
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")

    def records(self, stage: Stage, kind: type[R]) -> dict[str, R] | None:
        """A committed step's records in site order; None where it is not committed."""
        if self.file(stage) is None:
            return None
        rows = self.connection.execute(
            "SELECT site, block FROM records WHERE study = ? AND cycle = ? AND step = ? "
            "AND round = ? AND sequence = ?",
            (self.study, stage.cycle, stage.step, stage.round, stage.sequence),
        )
        found = {site: unpack(kind, block) for site, block in rows}
        return {site: found[site] for site in sorted(found, key=self.sites().index)}

    def file(self, stage: Stage) -> str | None:
        """The model file of a committed step ("" where it made none); None if not committed."""
        row = self.connection.execute(
            "SELECT file FROM steps WHERE study = ? AND cycle = ? AND step = ? AND round = ? "
            "AND sequence = ?",
            (self.study, stage.cycle, stage.step, stage.round, stage.sequence),
        ).fetchone()
        return None if row is None else str(row[0])

    def committed(self) -> list[Committed]:
        """Every committed step, in the order of their commits."""
        rows = self.connection.execute(
            "SELECT cycle, step, round, sequence, file, at FROM steps WHERE study = ? "
            "ORDER BY rowid",
            (self.study,),
        )
        return [
            Committed(Stage(*stage), file, datetime.fromisoformat(at)) for *stage, file, at in rows
        ]

    def time(self, stage: Stage) -> datetime | None:
        """When a step was committed; None if it was not."""
        return next((c.at for c in self.committed() if c.stage == stage), None)

    def close(self) -> None:
        """Release the file."""
        self.connection.close()

    def _begin(self, study: Study, weights: str) -> None:
        row = self.connection.execute("SELECT document, weights FROM runs").fetchone()
        if row is None:
            self.connection.execute(
                "INSERT INTO runs (study, document, weights, sites) VALUES (?, ?, ?, '[]')",
                (study.identity, json.dumps(document(study)), weights),
            )
        elif parse(json.loads(row[0])).identity != study.identity or row[1] != weights:
            raise NotThisStudy(
                "this folder holds a run of another study or of other first weights; "
                "accepted is the same study, or an empty folder"
            )
