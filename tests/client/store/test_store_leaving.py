"""Patients who are excluded or purged."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from client.home import open_store
from client.keys import SiteKey
from client.site import Arrival, Site, enrol
from client.store.reading_shelf import Opening
from client.store.store import SiteStore, now
from protocol.records import Label, Reading
from protocol.study import Study

Arrive = Callable[..., Arrival]
Fill = Callable[[SiteStore, Study], SiteStore]
Read = Callable[[str], Reading]
KEY = SiteKey(b"a secret of one hospital")


def test_an_excluded_patient_leaves_everything(
    tiny_store: SiteStore,
    tiny_study: Callable[..., Study],
    arrival: Arrive,
    filled: Fill,
    reading: Read,
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


def test_a_purge_leaves_tombstones_alone(
    tmp_path: Path, tiny_study: Callable[..., Study], filled: Fill, reading: Read
) -> None:
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


def test_a_purged_patient_enrolled_again_adds_nothing(
    tiny_store: SiteStore, arrival: Arrive
) -> None:
    enrol(tiny_store, KEY, arrival(4), clustered=True)
    with tiny_store.transaction():
        assert tiny_store.cases.purge(KEY.patient("person-0"), now()) == 2
        assert tiny_store.cases.purge(KEY.patient("person-0"), now()) == 0
    new_scan = Arrival(["scan-new"], ["person-0"], ["pool"], [9])
    assert enrol(tiny_store, KEY, new_scan, clustered=True) == 0
    assert enrol(tiny_store, KEY, arrival(4), clustered=True) == 0
    assert tiny_store.cases.pool("s", 0.0, 0).tolist() == [3, 4]


def test_the_id_of_a_purged_case_never_comes_back(tiny_store: SiteStore, arrival: Arrive) -> None:
    # else a scored pool on disk would lend the purged case's signals to the newcomer
    enrol(tiny_store, KEY, arrival(4), clustered=True)
    with tiny_store.transaction():
        tiny_store.cases.purge(KEY.patient("person-1"), now())
    enrol(tiny_store, KEY, arrival(2, first=10), clustered=True)
    assert tiny_store.cases.pool("s", 0.0, 0).tolist() == [1, 2, 5, 6]


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
