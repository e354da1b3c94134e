"""Exclusion and purge by the name that the source writes: counted, logged, and never repeated."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client import scored_pool
from client.patients import site_key
from client.scored_pool import ScoredPool

NAME = "Doe^Jane"


def excluded(home: Any) -> int:
    rows = home.store.connection.execute("SELECT sum(excluded) FROM patients")
    return int(rows.fetchone()[0])


def everywhere(home: Any) -> bytes:
    home.store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return b"".join(p.read_bytes() for p in home.folder.rglob("*") if p.is_file())


def test_exclude_takes_a_patients_cases_out(home: Any) -> None:
    said = home.say("exclude", NAME, "--yes", "--format", "json")
    assert said.json == {"format": 1, "excluded": {"patients": 1, "cases": 2}}
    assert excluded(home) == 1
    assert home.events() == [("excluded", "1 patient, 2 cases")]
    assert home.store.cases.pool("s", 0.0, 0).size == 2


def test_purge_leaves_a_tombstone_and_no_name(home: Any) -> None:
    ids = home.store.cases.of_patient(site_key(home.folder).patient(NAME))
    signals = {"probs": np.arange(8.0).reshape(4, 2)}
    scored = ScoredPool("s", 0, np.arange(1, 5, dtype=np.int64), signals)
    scored_pool.write(home.folder, scored)
    said = home.say("purge", NAME, "--yes")
    assert said.out == "1 patient purged, 2 cases\n"
    assert home.store.cases.pool("s", 0.0, 0).size == 2
    assert home.store.connection.execute("SELECT count(*) FROM tombstones").fetchone()[0] == 3
    assert np.load(home.folder / "i.npy")[:, 0, 0, 0].tolist() == [0, 0, 7, 7]
    left = scored_pool.read(home.folder, "s", 0)
    assert left is not None
    assert not set(ids.tolist()) & set(left.ids.tolist())
    assert left.signals["probs"].shape == (2, 2)
    assert home.events() == [("purged", "1 patient, 2 cases")]
    assert NAME.encode() not in everywhere(home)
    again = home.say("purge", NAME, "--yes").out
    assert again.startswith("1 patient purged, 0 cases\nnone was here under that name; ")


def test_a_name_that_is_not_here_changes_nothing(home: Any) -> None:
    said = home.say("exclude", "Nobody", "--yes")
    assert said.code == 2
    assert "nobody of that name" in said.err
    assert "Nobody" not in said.err
    assert not home.events()


def test_the_name_may_come_unseen(home: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{NAME}\n"))
    assert home.say("exclude", "-", "--yes").out == "1 patient excluded, 2 cases\n"
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    assert home.say("exclude", "-", "--yes").code == 2


@pytest.mark.parametrize("command", ["exclude", "purge"])
def test_it_is_asked_twice(command: str, home: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Person(io.StringIO):
        def isatty(self) -> bool:
            return True

    for answers, code in (("y\nn\n", 3), ("n\n", 3), ("y\ny\n", 0)):
        monkeypatch.setattr("sys.stdin", Person(answers))
        assert home.say(command, NAME).code == code
        assert bool(home.events()) == (code == 0)


def test_a_home_without_its_secret_is_refused(home: Any) -> None:
    secret: Path = home.folder / "keys" / "site.secret"
    secret.unlink()
    said = home.say("exclude", NAME, "--yes")
    assert said.code == 2
    assert "the site's secret is missing" in said.err
