"""What must hold of a federation after whatever happened to it."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from simulations.poc.commands import CommandFailed, ask, call
from simulations.poc.layout import Layout


class Unsound(AssertionError):
    """Something that must hold does not."""


def check_sound(layout: Layout, identity: str, lost_at: frozenset[str] = frozenset()) -> None:
    """No accepted answer is lost, no step was done twice, budgets sum, every audit log verifies.

    Args:
        layout: of a federation whose study has ended and whose server still runs.
        identity: of the study.
        lost_at: sites whose database was replaced by an older copy: their readers remember more.
    Raises:
        Unsound: the first thing that does not hold.
    """
    check_budget(layout, identity)
    for name in layout.names:
        check_answers(layout, name, older=name in lost_at)
        verified(layout.site(name))


def check_answers(layout: Layout, name: str, *, older: bool) -> None:
    """What readers were told was saved is there, once, and no cycle holds more than was granted."""
    database = layout.site(name) / "site.db"
    sql = (
        "SELECT study, readings.cycle, key, reader, stage FROM readings "
        'JOIN cases ON cases.id = "case"'
    )
    kept = rows(database, sql)
    if len(kept) > len(set(kept)):
        raise Unsound(f"{name}: an answer is there twice")
    journal = layout.truths(name).with_suffix(".journal")
    noted = [line.split() for line in journal.read_text().splitlines()] if journal.exists() else []
    missing = {(s, int(c), key, r, stage) for s, c, key, r, stage in noted} - set(kept)
    if missing and not older:
        raise Unsound(f"{name}: {len(missing)} accepted answers are lost")
    granted = dict(rows(database, "SELECT cycle, sum(count) FROM grants GROUP BY cycle"))
    sql = (
        "SELECT cycle, count(*) - count(replaces) FROM readings "
        "WHERE stage != 'after-ai' GROUP BY cycle"
    )
    spent = dict(rows(database, sql))
    if over := [cycle for cycle in spent if spent[cycle] > granted.get(cycle, 0)]:
        raise Unsound(f"{name}: more was read than granted in cycle {over[0] + 1}")


def check_budget(layout: Layout, identity: str) -> dict[str, Any]:
    """The study as the server's status has it, if its account adds up."""
    status = ask("wardround-server", "status", home=layout.server)
    study: dict[str, Any] = next(s for s in status["studies"] if s["identity"] == identity)
    granted, spent, returned = study["granted"], study["spent"], study["returned"]
    if granted != spent + returned or spent > study["budget"]:
        raise Unsound(
            f"of {study['budget']} readings {granted} were granted, {spent} spent and "
            f"{returned} returned"
        )
    return study


def verified(home: Path, patience: float = 90.0) -> str:
    """What `audit verify` says at a site, once its newest line is countersigned.

    Raises:
        Unsound: the log does not verify.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            return call("wardround-site", "audit", "verify", home=home).strip()
        except CommandFailed as failed:
            if time.monotonic() > deadline:
                raise Unsound(str(failed)) from None
            time.sleep(2.0)


def rows(database: Path, sql: str) -> list[tuple[Any, ...]]:
    """Rows of a database that others have open."""
    with closing(sqlite3.connect(database, timeout=30.0)) as connection:
        return connection.execute(sql).fetchall()
