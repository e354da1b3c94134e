"""What left the sites of finished runs, counted from their own audit logs."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from client.leaving import size
from protocol.egress_table import TITLES
from simulations.results.page import Table
from simulations.results.records import Run


def left(runs: Sequence[Run]) -> Table | None:
    """A row for each kind of record: means over the sites of these runs; None where no site's log
    can be read any more.
    """
    found = [_counted(log) for run in runs for log in sorted(run.folder.glob("sites/*/site.db"))]
    logs = [counted for counted in found if counted is not None]
    if not logs:
        return None
    times, sizes = Counter[str](), Counter[str]()
    for counted in logs:
        for record, count, bytes_ in counted:
            times[record] += count
            sizes[record] += bytes_
    rows = tuple(
        (TITLES[record], record, f"{times[record] / len(logs):,.0f}",
         size(round(sizes[record] / len(logs))))
        for record in TITLES
        if times[record]
    )  # fmt: skip
    return Table(("what left", "record", "times, at a site", "bytes, at a site"), rows)


def _counted(log: Path) -> list[tuple[str, int, int]] | None:
    """Record, how often it left over Flower, and its bytes in all; None where it is damaged."""
    with closing(sqlite3.connect(f"{log.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        try:
            return connection.execute(
                "SELECT record, COUNT(*), SUM(size) FROM audit WHERE event = 'left' "
                "AND plane = 'model' GROUP BY record"
            ).fetchall()
        except sqlite3.DatabaseError:
            return None
