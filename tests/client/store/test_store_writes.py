"""Readings are append-only, transactions whole, and writers lose nothing when killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from client.home import open_store
from client.keys import SiteKey
from client.site import Arrival, enrol
from client.store.store import SiteStore
from protocol.records import Reading
from protocol.study import Study

Arrive = Callable[..., Arrival]
Fill = Callable[[SiteStore, Study], SiteStore]
Read = Callable[[str], Reading]
KEY = SiteKey(b"a secret of one hospital")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE readings SET value = '[1, 0]' WHERE id = 1",
        "UPDATE OR REPLACE readings SET id = 2 WHERE id = 1",
        "DELETE FROM readings WHERE id = 1",
        "DELETE FROM readings",
        'INSERT OR REPLACE INTO readings (id, study, cycle, "case", purpose, reader, at, seconds, '
        'answer, value) SELECT id, study, cycle, "case", purpose, reader, at, '
        "seconds, answer, '[1, 0]' FROM readings WHERE id = 1",
        "REPLACE INTO readings SELECT * FROM readings WHERE id = 2",
    ],
)
@pytest.mark.parametrize("whose", ["the store's", "another"])
def test_the_database_itself_refuses_to_change_a_reading(
    tmp_path: Path, tiny_study: Callable[..., Study], change: str, whose: str, filled: Fill
) -> None:
    store = filled(open_store(tmp_path, durable=False), tiny_study())
    before = store.connection.execute("SELECT * FROM readings").fetchall()
    other = sqlite3.connect(tmp_path / "site.db", isolation_level=None)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        (store.connection if whose == "the store's" else other).execute(change)
    assert store.connection.execute("SELECT * FROM readings").fetchall() == before
    other.close()
    store.close()


def test_a_transaction_that_fails_leaves_nothing_and_the_next_one_works(
    tiny_store: SiteStore, tiny_study: Callable[..., Study], filled: Fill, reading: Read
) -> None:
    study = tiny_study()
    filled(tiny_store, study)

    def interrupted() -> None:
        with tiny_store.transaction():
            tiny_store.readings.add(study.identity, 0, 1, "query", reading("ben"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert tiny_store.readings.spent(study.identity)[0] == 4
    with tiny_store.transaction():
        tiny_store.readings.add(study.identity, 0, 1, "query", reading("ben"))
    assert tiny_store.readings.spent(study.identity)[0] == 5


def test_a_study_approved_with_other_weights_is_refused(
    tiny_store: SiteStore, tiny_study: Callable[..., Study]
) -> None:
    with tiny_store.transaction():
        tiny_store.steps.approve(tiny_study(), "a" * 64)
        tiny_store.steps.approve(tiny_study(), "a" * 64)
    with pytest.raises(ValueError, match="approved with aaaaaaaaaaaa"), tiny_store.transaction():
        tiny_store.steps.approve(tiny_study(), "b" * 64)
    assert tiny_store.steps.weights(tiny_study().identity) == "a" * 64


def _write(home: Path, study: str, answer: Reading, cases: Sequence[int]) -> None:
    store = open_store(home, durable=False)
    for case in cases:
        with store.transaction():
            store.readings.add(study, 0, case, "query", answer)
    store.close()


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_writers_at_once_lose_nothing(
    tmp_path: Path, tiny_study: Callable[..., Study], kind: str, arrival: Arrive, reading: Read
) -> None:
    study = tiny_study()
    store = open_store(tmp_path, durable=False)
    enrol(store, KEY, arrival(100), clustered=True)
    with store.transaction():
        store.steps.approve(study, "w")
    fork = multiprocessing.get_context("fork")
    make: Any = threading.Thread if kind == "threads" else fork.Process
    writers = [
        make(target=_write, args=(tmp_path, study.identity, reading(f"r{i}"), range(1, 101)))
        for i in range(3)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    rows = store.connection.execute('SELECT reader, "case" FROM readings').fetchall()
    assert sorted(rows) == [(f"r{i}", case) for i in range(3) for case in range(1, 101)]
    store.close()


KILLED = """
import sys
from pathlib import Path
from client.home import open_store
from protocol.records import Reading
store = open_store(Path(sys.argv[1]))
for number in range(10**6):
    with store.transaction():
        answer = Reading("", f"r{number}", "2026-01-05T08:00:00+00:00", 1.0, "answered", (0, 1))
        store.readings.add(sys.argv[2], 0, 1, "query", answer)
    print("saved", number, flush=True)
"""


@pytest.mark.slow
def test_an_answer_that_was_said_to_be_saved_survives_a_kill(
    tmp_path: Path, tiny_study: Callable[..., Study], arrival: Arrive
) -> None:
    study = tiny_study()
    store = open_store(tmp_path)
    assert store.connection.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
    enrol(store, KEY, arrival(2), clustered=True)
    with store.transaction():
        store.steps.approve(study, "w")
    store.close()
    command = [sys.executable, "-c", KILLED, str(tmp_path), study.identity]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for _ in range(20):
            line = writer.stdout.readline()
        os.kill(writer.pid, signal.SIGKILL)
        said = line + writer.stdout.read()  # what it managed to say before the kill
    assert writer.returncode == -signal.SIGKILL
    last = int(said.split()[-1]) if said.endswith("\n") else int(said.splitlines()[-2].split()[-1])
    store = open_store(tmp_path)
    found = {row[0] for row in store.connection.execute("SELECT reader FROM readings")}
    assert {f"r{i}" for i in range(last + 1)} <= found
    assert len(found) <= last + 3  # nor anything beyond the one being said
    assert store.connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    store.close()
