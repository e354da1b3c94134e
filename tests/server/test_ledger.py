"""The ledger: every step once, whole or not at all, and of one study only."""

from __future__ import annotations

import multiprocessing
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daemons.migrations import SchemaTooNew
from protocol.records import Grant, SiteProgress, SiteUpdate
from protocol.study import Study
from server import account
from server.ledger import Ledger, NotThisStudy, Stage

SITES = ["west", "east", "mid"]  # in site order, which is not the alphabet's


@pytest.fixture
def ledger(tmp_path: Path, tiny_study: Callable[..., Study]) -> Iterator[Ledger]:
    made = Ledger.open(tmp_path / "ledger.db", tiny_study(), "w")
    made.settle_sites(SITES)
    yield made
    made.close()


def grants(*counts: int) -> dict[str, Grant]:
    return {site: Grant(n, f"{n} readings") for site, n in zip(SITES, counts, strict=True)}


def test_what_was_committed_is_read_again(ledger: Ledger) -> None:
    stage = Stage(3, "allocate")
    assert ledger.records(stage, Grant) is None
    assert ledger.file(stage) is None
    ledger.commit(stage, grants(3, 2, 1))
    assert ledger.records(stage, Grant) == grants(3, 2, 1)
    assert ledger.file(stage) == ""
    for other in (Stage(2, "allocate"), Stage(3, "select"), Stage(3, "allocate", 1),
                  Stage(3, "allocate", 0, 1)):  # fmt: skip
        assert ledger.records(other, Grant) is None


def test_records_come_back_in_site_order(ledger: Ledger) -> None:
    by_alphabet = dict(sorted(grants(3, 2, 1).items()))
    ledger.commit(Stage(0, "allocate"), by_alphabet)
    found = ledger.records(Stage(0, "allocate"), Grant)
    assert found is not None
    assert list(found) == SITES
    ledger.commit(Stage(1, "allocate"), {"mid": Grant(1, ""), "west": Grant(2, "")})
    assert list(ledger.records(Stage(1, "allocate"), Grant) or ()) == ["west", "mid"]


def test_a_step_without_records_is_committed_all_the_same(ledger: Ledger) -> None:
    ledger.commit(Stage(0, "train", 4), {}, "cycle-000-round-005.safetensors")
    assert ledger.records(Stage(0, "train", 4), SiteUpdate) == {}
    assert ledger.file(Stage(0, "train", 4)) == "cycle-000-round-005.safetensors"


def test_arrays_and_floats_come_back_to_the_bit(ledger: Ledger) -> None:
    array = np.array([0.1, np.nextafter(1, 2), -0.0], dtype=np.float32)
    update = SiteUpdate("west", {"a": array}, 0.1 + 0.2, float(np.nextafter(0, 1)), 7)
    ledger.commit(Stage(0, "train"), {"west": update})
    found = (ledger.records(Stage(0, "train"), SiteUpdate) or {})["west"]
    assert found.arrays["a"].tobytes() == array.tobytes()
    assert (found.weight, found.loss) == (update.weight, update.loss)


def test_a_step_is_committed_once(ledger: Ledger) -> None:
    ledger.commit(Stage(0, "allocate"), grants(3, 2, 1))
    with pytest.raises(sqlite3.IntegrityError):
        ledger.commit(Stage(0, "allocate"), grants(1, 1, 1))
    assert ledger.records(Stage(0, "allocate"), Grant) == grants(3, 2, 1)


def test_a_failed_commit_leaves_nothing_and_the_next_one_works(ledger: Ledger) -> None:
    stage = Stage(0, "allocate")
    with pytest.raises(Exception, match="cannot travel"):
        ledger.commit(stage, {"west": Grant(1, ""), "east": Grant(object(), "")})  # type: ignore[arg-type]  # the point
    assert ledger.file(stage) is None
    assert not ledger.connection.execute("SELECT 1 FROM records").fetchall()
    ledger.commit(stage, grants(1, 1, 1))
    assert ledger.file(stage) == ""


def test_a_second_start_goes_on(tmp_path: Path, tiny_study: Callable[..., Study]) -> None:
    path = tmp_path / "ledger.db"
    first = Ledger.open(path, tiny_study(), "w")
    assert first.sites() == []
    first.settle_sites(SITES)
    first.commit(Stage(0, "allocate"), grants(3, 2, 1))
    assert [first.next_epoch(), first.next_epoch()] == [1, 2]
    first.close()
    second = Ledger.open(path, tiny_study("simulation.sites=9"), "w")  # a rehearsal's own matter
    assert second.next_epoch() == 3
    second.settle_sites(SITES)
    assert second.records(Stage(0, "allocate"), Grant) == grants(3, 2, 1)
    second.close()


def test_another_study_other_weights_and_other_sites_are_refused(
    tmp_path: Path, tiny_study: Callable[..., Study]
) -> None:
    path = tmp_path / "ledger.db"
    made = Ledger.open(path, tiny_study(), "w")
    made.settle_sites(SITES)
    for study, weights in ((tiny_study("seed=1"), "w"), (tiny_study(), "v")):
        with pytest.raises(NotThisStudy, match="another study or of other first weights"):
            Ledger.open(path, study, weights)
    for sites in (SITES[:2], [*SITES, "new"], SITES[::-1]):
        with pytest.raises(NotThisStudy, match="began with 3 sites: west, east, mid"):
            made.settle_sites(sites)
    assert made.sites() == SITES
    made.close()


def _epochs(path: Path, study: Study, count: int, out: Any) -> None:
    ledger = Ledger.open(path, study, "w", durable=False)
    out.put([ledger.next_epoch() for _ in range(count)])
    ledger.close()


def test_no_two_starts_get_the_same_epoch(tmp_path: Path, tiny_study: Callable[..., Study]) -> None:
    path, study = tmp_path / "ledger.db", tiny_study()
    Ledger.open(path, study, "w").close()
    fork = multiprocessing.get_context("fork")
    out = fork.Queue()
    starts = [fork.Process(target=_epochs, args=(path, study, 50, out)) for _ in range(3)]
    for start in starts:
        start.start()
    epochs = [epoch for _ in starts for epoch in out.get(timeout=20)]
    for start in starts:
        start.join()
    assert sorted(epochs) == list(range(1, 151))


def test_commits_are_synced_outside_a_rehearsal(
    tmp_path: Path, tiny_study: Callable[..., Study]
) -> None:
    for durable, synchronous in ((True, 2), (False, 0)):
        made = Ledger.open(tmp_path / f"{durable}.db", tiny_study(), "w", durable=durable)
        assert made.connection.execute("PRAGMA synchronous").fetchone()[0] == synchronous
        made.close()


def test_progress_of_minutes_keeps_its_tenth(ledger: Ledger) -> None:
    told = SiteProgress("east", 3, -1, 9, 3.4)
    ledger.commit(Stage(0, "read"), {"east": told})
    assert ledger.records(Stage(0, "read"), SiteProgress) == {"east": told}


def test_a_ledger_is_looked_at_while_it_is_written(
    tmp_path: Path, tiny_study: Callable[..., Study]
) -> None:
    path = tmp_path / "a folder" / "ledger.db"
    with pytest.raises(FileNotFoundError, match="no ledger"):
        Ledger.look(path)
    path.parent.mkdir()
    made = Ledger.open(path, tiny_study(), "w")
    made.settle_sites(SITES)
    seen = Ledger.look(path)
    assert (seen.study, seen.sites(), seen.committed()) == (made.study, SITES, [])
    made.commit(Stage(0, "report"), {})
    made.commit(Stage(0, "allocate"), grants(3, 2, 1))
    made.commit(Stage(0, "train"), {}, "a.safetensors")
    made.commit(Stage(0, "allocate", 0, 1), {"mid": Grant(2, "more")})
    found = seen.committed()
    assert [c.stage.step for c in found] == ["report", "allocate", "train", "allocate"]
    assert [c.file for c in found] == ["", "", "a.safetensors", ""]
    assert all(c.at == seen.time(c.stage) and c.at.tzinfo for c in found)
    assert seen.time(Stage(1, "report")) is None
    assert account.cycles(seen) == 1
    both = account.grants(seen, 0)
    assert [[g.count for g in both[site]] for site in SITES] == [[3], [2], [1, 2]]
    assert account.together(both)["mid"] == Grant(3, "1 readings; more")
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        seen.commit(Stage(1, "report"), {})
    made.close()
    seen.close()
    again = Ledger.look(path)  # nobody else has it open
    assert len(again.committed()) == 4
    again.close()


def test_settlements_count_from_the_cycle_at_whose_beginning_they_came(ledger: Ledger) -> None:
    held = SiteProgress("east", 4, 0, 2, 1.0, waiting=2)
    done = SiteProgress("west", 4, 0, 4, 2.0)
    settled = SiteProgress("east", 2, 2, 2, 1.0)
    assert account.progress(ledger, 1) == {}
    ledger.commit(Stage(1, "read"), {"east": held, "west": done})
    ledger.commit(Stage(1, "settle", 0, 2), {})
    ledger.commit(Stage(1, "settle", 0, 3), {"east": settled})
    assert account.held(account.progress(ledger, 1, 2)) == ["east"]
    assert account.progress(ledger, 1) == {"east": settled, "west": done}
    assert account.progress(ledger, 1, 3) == account.progress(ledger, 1)


def test_a_ledger_of_a_newer_wardround_is_refused(
    tmp_path: Path, tiny_study: Callable[..., Study]
) -> None:
    path = tmp_path / "ledger.db"
    made = Ledger.open(path, tiny_study(), "w")
    made.connection.execute("PRAGMA user_version = 99")
    made.close()
    with pytest.raises(SchemaTooNew, match="schema 99"):
        Ledger.open(path, tiny_study(), "w")
    with pytest.raises(SchemaTooNew, match="schema 99"):
        Ledger.look(path)
