"""The site's database: what it promises, tried on real files, other connections and real kills."""

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

import numpy as np
import pytest

from client import scored_pool
from client.home import open_store
from client.keys import SiteKey
from client.scored_pool import ScoredPool
from client.site import Arrival, Site, enrol
from client.store.reading_shelf import Opening
from client.store.schema import MIGRATIONS
from client.store.store import SiteStore, now
from daemons.migrations import SchemaTooNew
from protocol.records import Label, Reading
from protocol.study import Study

KEY = SiteKey(b"a secret of one hospital")


def arrival(count: int, split: str = "pool", *, first: int = 0, patients: int = 2) -> Arrival:
    """`count` cases, `patients` cases of each patient."""
    rows = range(first, first + count)
    names, people = [f"scan-{r}" for r in rows], [f"person-{r // patients}" for r in rows]
    return Arrival(names, people, [split] * count, rows, np.tile([1, 0], (count, 1)))


def filled(store: SiteStore, study: Study) -> SiteStore:
    """Twelve cases of six patients, the first four opened and read."""
    enrol(store, KEY, arrival(12), clustered=True)
    with store.transaction():
        store.steps.approve(study, "w")
        store.readings.grant(study.identity, 0, 0, 4)
        store.readings.open(study.identity, 0, [Opening(i, "query") for i in (1, 2, 3, 4)])
        for case in (1, 2, 3, 4):
            store.readings.add(study.identity, 0, case, "query", reading("ann"))
    return store


def reading(reader: str) -> Reading:
    return Reading("", reader, "2026-01-05T08:00:00+00:00", 9.0, "answered", (0, 1))


def schema(store: SiteStore) -> list[Any]:
    return store.connection.execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall()


# ---- migrations


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


# ---- append-only readings


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
    tmp_path: Path, tiny_study: Callable[..., Study], change: str, whose: str
) -> None:
    store = filled(open_store(tmp_path, durable=False), tiny_study())
    before = store.connection.execute("SELECT * FROM readings").fetchall()
    other = sqlite3.connect(tmp_path / "site.db", isolation_level=None)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        (store.connection if whose == "the store's" else other).execute(change)
    assert store.connection.execute("SELECT * FROM readings").fetchall() == before
    other.close()
    store.close()


# ---- enrolment, exclusion, purge


def test_enrolment_is_idempotent_and_adds_only_what_is_new(tiny_store: SiteStore) -> None:
    assert enrol(tiny_store, KEY, arrival(6), clustered=True) == 6
    assert enrol(tiny_store, KEY, arrival(6), clustered=True) == 0
    assert enrol(tiny_store, KEY, arrival(8), clustered=True) == 2
    assert tiny_store.cases.pool("s", 0.0, 0).tolist() == list(range(1, 9))
    assert tiny_store.cases.rows(np.array([8, 1])).tolist() == [7, 0]


def test_a_patient_in_two_splits_is_refused_and_nothing_enters(tiny_store: SiteStore) -> None:
    enrol(tiny_store, KEY, arrival(1), clustered=True)  # one of person-0's two cases
    with pytest.raises(ValueError, match="1 patients with cases in two splits") as refused:
        enrol(tiny_store, KEY, arrival(5, "locked", first=1), clustered=True)
    assert "person" not in str(refused.value)
    assert tiny_store.connection.execute("SELECT count(*) FROM cases").fetchone()[0] == 1


def test_enrolment_is_all_or_nothing(tiny_store: SiteStore) -> None:
    wrong = Arrival(["a", "b"], ["p", "q"], ["pool", "nowhere"], [0, 1])
    with pytest.raises(sqlite3.IntegrityError):
        enrol(tiny_store, KEY, wrong, clustered=True)
    ragged = Arrival(["a", "b"], ["p"], ["pool", "pool"], [0, 1])
    with pytest.raises(ValueError, match="zip"):
        enrol(tiny_store, KEY, ragged, clustered=True)
    assert not tiny_store.cases.fact("clustered")
    for table in ("cases", "patients"):
        assert tiny_store.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == 0  # noqa: S608  # fixed names


def test_a_transaction_that_fails_leaves_nothing_and_the_next_one_works(
    tiny_store: SiteStore, tiny_study: Callable[..., Study]
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


def test_audit_set_and_pool_share_no_patient_and_late_arrivals_keep_their_side(
    tiny_store: SiteStore,
) -> None:
    enrol(tiny_store, KEY, arrival(300, patients=3), clustered=True)
    audit, pool = tiny_store.cases.audit_left("s", 0.25, 0), tiny_store.cases.pool("s", 0.25, 0)
    assert len(audit) + len(pool) == 300
    assert 45 < len(audit) < 105  # 100 patients, a quarter of them: six standard deviations
    people = tiny_store.cases.patients
    assert not set(people(audit).tolist()) & set(people(pool).tolist())
    late = Arrival(
        [f"late-{i}" for i in range(100)], [f"person-{i}" for i in range(100)], ["pool"] * 100,
        range(300, 400),
    )  # fmt: skip
    enrol(tiny_store, KEY, late, clustered=True)
    grown = tiny_store.cases.audit_left("s", 0.25, 0)
    assert set(people(grown).tolist()) == set(people(audit).tolist())
    assert len(grown) == len(audit) * 4 // 3


def test_audit_cases_come_in_an_order_that_enrolment_does_not_set(tiny_store: SiteStore) -> None:
    enrol(tiny_store, KEY, arrival(200), clustered=True)
    order = tiny_store.cases.audit_left("s", 0.5, 0).tolist()
    assert order != sorted(order)
    assert abs(np.corrcoef(order, np.arange(len(order)))[0, 1]) < 0.35


def test_an_excluded_patient_leaves_everything(
    tiny_store: SiteStore, tiny_study: Callable[..., Study]
) -> None:
    study = tiny_study()
    filled(tiny_store, study)
    enrol(tiny_store, KEY, arrival(4, "locked", first=100), clustered=True)
    shelf, identity = tiny_store.readings, study.identity
    with tiny_store.transaction():
        shelf.add(identity, 0, 3, "audit", reading("ben"))
        tiny_store.labels.settle(
            identity, {k: Label(k, (0.0, 1.0), 1) for k in tiny_store.cases.keys_of([1, 3])}
        )
        shelf.open(identity, 1, [Opening(5, "query"), Opening(7, "query")])
    assert tiny_store.labels.settled(identity)[0].tolist() == [1, 3]
    out = ("person-1", "person-2", "person-50")  # cases 3, 4; 5, 6; two locked
    with tiny_store.transaction():
        assert [tiny_store.cases.exclude(KEY.patient(p)) for p in out] == [2, 2, 2]
    assert tiny_store.cases.pool(identity, 0.0, 2).tolist() == [7, 8, 9, 10, 11, 12]
    assert not set(tiny_store.cases.audit_left(identity, 0.99, 2).tolist()) & {3, 4, 5, 6}
    assert tiny_store.labels.settled(identity)[0].tolist() == [1]
    assert {r.case for r in tiny_store.labels.training(identity)} == set(
        tiny_store.cases.keys_of([1, 2])
    )
    assert tiny_store.labels.audit(identity) == []
    assert len(tiny_store.cases.locked()[0]) == 2
    assert [o.case for o in shelf.opened(identity, 1)] == [7]  # nobody is shown case 5 any more
    assert shelf.spent(identity)[0] == 5  # what was spent stays spent


def test_a_purge_leaves_tombstones_alone(tmp_path: Path, tiny_study: Callable[..., Study]) -> None:
    study = tiny_study()
    store = filled(open_store(tmp_path, durable=False), study)
    gone, key = KEY.patient("person-0"), store.cases.keys_of([1])[0]
    with store.transaction():
        store.readings.add(study.identity, 0, 1, "query", reading("canary-of-a-reading"))
        store.labels.settle(study.identity, {key: Label(key, (1.0, 0.0), 1)})
    with store.transaction():
        assert store.cases.purge(gone, now()) == 2
    for table, column in [("readings", '"case"'), ("openings", '"case"'), ("labels", '"case"')]:
        left = store.connection.execute(f"SELECT {column} FROM {table}").fetchall()  # noqa: S608  # fixed names
        assert not {1, 2} & {row[0] for row in left}
    count = store.connection.execute
    assert count("SELECT count(*) FROM cases").fetchone()[0] == 10
    assert count("SELECT count(*) FROM patients WHERE key = ?", (gone,)).fetchone()[0] == 0
    assert count("SELECT count(*) FROM tombstones").fetchone()[0] == 3  # two cases, their patient
    assert count("SELECT count(*) FROM purging").fetchone()[0] == 0
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        store.connection.execute("DELETE FROM readings")
    store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.close()
    assert b"canary-of-a-reading" not in (tmp_path / "site.db").read_bytes()


def test_a_purged_patient_enrolled_again_adds_nothing(tiny_store: SiteStore) -> None:
    enrol(tiny_store, KEY, arrival(4), clustered=True)
    with tiny_store.transaction():
        assert tiny_store.cases.purge(KEY.patient("person-0"), now()) == 2
        assert tiny_store.cases.purge(KEY.patient("person-0"), now()) == 0
    new_scan = Arrival(["scan-new"], ["person-0"], ["pool"], [9])
    assert enrol(tiny_store, KEY, new_scan, clustered=True) == 0
    assert enrol(tiny_store, KEY, arrival(4), clustered=True) == 0
    assert tiny_store.cases.pool("s", 0.0, 0).tolist() == [3, 4]


def test_the_id_of_a_purged_case_never_comes_back(tiny_store: SiteStore) -> None:
    # else a scored pool on disk would lend the purged case's signals to the newcomer
    enrol(tiny_store, KEY, arrival(4), clustered=True)
    with tiny_store.transaction():
        tiny_store.cases.purge(KEY.patient("person-1"), now())
    enrol(tiny_store, KEY, arrival(2, first=10), clustered=True)
    assert tiny_store.cases.pool("s", 0.0, 0).tolist() == [1, 2, 5, 6]


def test_a_study_approved_with_other_weights_is_refused(
    tiny_store: SiteStore, tiny_study: Callable[..., Study]
) -> None:
    with tiny_store.transaction():
        tiny_store.steps.approve(tiny_study(), "a" * 64)
        tiny_store.steps.approve(tiny_study(), "a" * 64)
    with pytest.raises(ValueError, match="approved with aaaaaaaaaaaa"), tiny_store.transaction():
        tiny_store.steps.approve(tiny_study(), "b" * 64)
    assert tiny_store.steps.weights(tiny_study().identity) == "a" * 64


# ---- several writers, and kills


def _write(home: Path, study: str, reader: str, cases: Sequence[int]) -> None:
    store = open_store(home, durable=False)
    for case in cases:
        with store.transaction():
            store.readings.add(study, 0, case, "query", reading(reader))
    store.close()


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_writers_at_once_lose_nothing(
    tmp_path: Path, tiny_study: Callable[..., Study], kind: str
) -> None:
    study = tiny_study()
    store = open_store(tmp_path, durable=False)
    enrol(store, KEY, arrival(100), clustered=True)
    with store.transaction():
        store.steps.approve(study, "w")
    fork = multiprocessing.get_context("fork")
    make: Any = threading.Thread if kind == "threads" else fork.Process
    writers = [
        make(target=_write, args=(tmp_path, study.identity, f"r{i}", range(1, 101)))
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
    tmp_path: Path, tiny_study: Callable[..., Study]
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


# ---- names


def test_no_name_of_a_case_or_patient_reaches_the_files(
    tmp_path: Path,
    tiny_study: Callable[..., Study],
    tiny_site: Callable[..., Site],
    first_weights: Callable[[Study], Any],
    ask: Callable[..., Any],
    read_cases: Callable[..., int],
) -> None:
    study = tiny_study()
    site = tiny_site(study)
    from protocol.records import Grant

    ask(site, study, "report", arrays=first_weights(study))
    ask(site, study, "select", grant=Grant(8, ""))
    assert read_cases(site.store, study) == 8
    ask(site, study, "train", arrays=first_weights(study))
    site.store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    files = [path for path in site.home.rglob("*") if path.is_file() and path.suffix != ".npy"]
    assert {"site.db", "site.toml"} <= {path.name for path in files}
    assert any(path.suffix == ".safetensors" for path in files)
    for path in files:
        content = path.read_bytes()
        assert b"person-north" not in content
        assert b"image-north" not in content
    assert site.store.cases.keys_of([1])[0].encode() in (site.home / "site.db").read_bytes()


# ---- the scored pool beside the database


def test_a_scored_pool_comes_back_whole_and_only_two_are_kept(tmp_path: Path) -> None:
    probs = np.array([[0.1, 0.9], [0.5, 0.5], [0.8, 0.2]])
    anchors = np.ones((2, 4), dtype=np.float32)
    for cycle in range(4):
        kept = {"probs": probs, "labeled_features": anchors, "head_weights": anchors}
        scored_pool.write(tmp_path, ScoredPool("s", cycle, np.array([3, 5, 9]), kept))
    assert [scored_pool.read(tmp_path, "s", c) is not None for c in range(4)] == [
        False, False, True, True,
    ]  # fmt: skip
    back = scored_pool.read(tmp_path, "s", 3)
    assert back is not None
    ids, pool = back.pool(np.array([9, 3, 77]), multi_label=False)
    assert ids.tolist() == [3, 9]
    assert pool.require("probs").tolist() == probs[[0, 2]].tolist()
    assert pool.require("labeled_features").shape == (2, 4)  # of labeled cases: all of them
    assert pool.require("head_weights").shape == (2, 4)  # of the model: all of it
    with pytest.raises(ValueError, match="read-only"):
        pool.require("probs")[0, 0] = 1.0
    (tmp_path / "scored-pools" / "s-3.safetensors").write_bytes(b"half a fi")
    assert scored_pool.read(tmp_path, "s", 3) is None
