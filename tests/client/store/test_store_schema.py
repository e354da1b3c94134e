"""The schema of a site's database: made, opened at once, too new, half migrated."""

from __future__ import annotations

import multiprocessing
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from client.home import open_store
from client.store.schema import MIGRATIONS
from client.store.store import SiteStore
from daemons.migrations import SchemaTooNew


def schema(store: SiteStore) -> list[Any]:
    return store.connection.execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall()


def test_an_empty_file_becomes_the_newest_schema_and_opening_again_changes_nothing(
    tmp_path: Path,
) -> None:
    first = open_store(tmp_path)
    made = schema(first)
    assert first.connection.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS) > 0
    first.close()
    again = open_store(tmp_path)
    assert schema(again) == made
    again.close()


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    store.close()
    with pytest.raises(SchemaTooNew, match=f"knows up to {len(MIGRATIONS)}"):
        open_store(tmp_path)


def _open_and_leave(home: Path, start: Any, said: Any) -> None:
    start.wait()
    try:
        open_store(home).close()
        said.put("opened")
    except Exception as error:
        said.put(repr(error))


@pytest.mark.slow
def test_processes_that_open_a_new_database_at_once_all_open_it(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    start, said = fork.Event(), fork.Queue()
    openers = [fork.Process(target=_open_and_leave, args=(tmp_path, start, said)) for _ in range(6)]
    for opener in openers:
        opener.start()
    start.set()
    assert [said.get(timeout=20) for _ in openers] == ["opened"] * 6
    for opener in openers:
        opener.join()


def test_a_failed_migration_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = "CREATE TABLE half (x);\nCREATE TABLE facts (x);\n"
    open_store(tmp_path).close()
    monkeypatch.setattr("client.store.store.MIGRATIONS", (*MIGRATIONS, broken))
    with pytest.raises(sqlite3.OperationalError, match="facts"):
        open_store(tmp_path)
    with sqlite3.connect(tmp_path / "site.db") as plain:
        assert plain.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)
        assert not plain.execute("SELECT 1 FROM sqlite_master WHERE name = 'half'").fetchall()
    plain.close()
