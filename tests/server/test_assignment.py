"""A submitted study: who takes part, when it may begin, when it is halted, how far readers are."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from client.home import open_store
from protocol.codec import digest, pack
from protocol.records import Arrays, GlobalState, Grant, SiteProgress
from protocol.study import Study, document
from server.assignment import assignment_in
from server.events import Event
from server.exchange import Halted, Timing
from server.federation import Federation
from server.home import ServerPaths
from server.ledger import Ledger
from server.participants import Participants
from server.registry.presence_shelf import PresenceShelf, Reached
from server.registry.registry import Registry
from server.registry.study_shelf import StudyRow, StudyShelf
from server.rooms import StreamedRooms
from server.study_folder import FolderError, StudyFolder, Submission

NAMES = ("north", "south", "west")


@pytest.fixture
def study(tiny_study: Callable[..., Study]) -> Study:
    return tiny_study("aggregation.quorum=0.6")


@pytest.fixture
def registry(tmp_path: Path, study: Study) -> Any:
    """Three sites, of which the last has no node yet; a study of all of them."""
    made = Registry.open(ServerPaths(tmp_path).registry)
    for number, name in enumerate(reversed(NAMES)):
        made.connection.execute(
            "INSERT INTO sites VALUES (?, ?, 'active', 'k', ?, 's', '', '')",
            (name, 2 - number, 70 + number if number else None),
        )
    row = StudyRow(study.identity, study.name, "f", "w", "me", NAMES)
    StudyShelf(made.connection).add(row)
    yield made
    made.close()


def submitted(
    tmp_path: Path, study: Study, weights: Arrays, sites: tuple[str, ...] = NAMES
) -> StudyFolder:
    folder = StudyFolder(tmp_path / "study")
    text = tomli_w.dumps(document(study)).encode()
    made = Submission(sites=sites, server=str(tmp_path), interval=5.0, patience=9.0, settle=7.0)
    folder.write(text, pack(GlobalState(weights)), made)
    return folder


def test_a_study_folder_says_what_to_do(
    tmp_path: Path, study: Study, registry: Any, first_weights: Callable[[Study], Arrays]
) -> None:
    folder = StudyFolder(tmp_path / "study")
    with pytest.raises(FolderError, match=r"submission\.json cannot be read"):
        assignment_in(folder)
    folder = submitted(tmp_path, study, first_weights(study))
    found = assignment_in(folder)
    assert (found.study.identity, found.sites, found.rehearsal) == (study.identity, 3, False)
    assert digest(found.weights) == digest(first_weights(study))
    assert found.timing == Timing(patience=9.0, settle=7.0)
    assert found.rooms.interval == 5.0
    assert found.roster is not None
    assert found.roster() == {"north": 72, "south": 71, "west": -1}
    assert not found.halted()
    StudyShelf(registry.connection).move(study.identity, "paused")
    assert found.halted()
    StudyShelf(registry.connection).move(study.identity, "running")
    assert timedelta() <= found.paused(datetime.now(UTC) - timedelta(hours=1)) < timedelta(hours=1)
    found.lost("cycle 0, train, round 0: 1 of 3 sites answered (west: failed)")
    assert "west: failed" in StudyShelf(registry.connection).find(study.identity).lost
    found.notify(Event("train", 0))
    assert StudyShelf(registry.connection).find(study.identity).lost == ""
    registry.connection.execute("UPDATE sites SET state = 'revoked' WHERE name = 'south'")
    registry.connection.execute("UPDATE sites SET node = 99 WHERE name = 'west'")
    assert found.roster() == {"north": 72, "south": -1, "west": 99}
    found.ended()
    row = StudyShelf(registry.connection).get(study.identity)
    assert row is not None
    assert row.state == "ended"
    found.release()
    submitted(tmp_path, study, first_weights(study), (*NAMES, "east"))
    with pytest.raises(FolderError, match="sites east are not in the server's registry"):
        assignment_in(folder)
    folder.write(b"", b"not a model", Submission(sites=NAMES, server="x"))
    with pytest.raises(FolderError, match="weights cannot be read"):
        folder.weights()


def waiting(registry: Any, study: Study, script: list[Callable[[], None]]) -> Federation:
    """A federation whose every pause runs the next line of the script; then it is halted."""
    made = Federation(None, study.identity, 1, 0.6, Timing(poll=0.001, retry=0.001))  # type: ignore[arg-type]  # nobody is asked
    made.roster = Participants(registry, study.identity, NAMES, 60.0).roster
    lines = iter(script)

    def halted() -> bool:
        line = next(lines, None)
        if line is None:
            return True
        line()
        return False

    made.halted = halted
    return made


def test_a_study_begins_when_all_have_decided(registry: Any, study: Study) -> None:
    shelf = PresenceShelf(registry.connection)
    who = Participants(registry, study.identity, NAMES, 60.0)

    def stand(site: str, state: str) -> Callable[[], None]:
        return lambda: shelf.stand(site, study.identity, state)

    two = [stand("north", "approved"), stand("south", "approved")]
    with pytest.raises(Halted):
        who.muster(waiting(registry, study, [*two, stand("west", "waiting")]))
    assert who.muster(waiting(registry, study, [stand("west", "refused")] * 9)) == list(NAMES)
    stand("south", "withdrawn")()
    with pytest.raises(Halted):  # all decided, and too few approved
        who.muster(waiting(registry, study, [lambda: None] * 9))
    stand("west", "approved")()
    assert who.muster(waiting(registry, study, [])) == list(NAMES)


def test_after_its_patience_a_study_begins_without_the_undecided(
    registry: Any, study: Study
) -> None:
    shelf = PresenceShelf(registry.connection)
    who = Participants(registry, study.identity, NAMES, 60.0)
    before = (datetime.now(UTC) - timedelta(seconds=61)).isoformat(timespec="seconds")
    registry.connection.execute("UPDATE studies SET submitted = ?", (before,))
    shelf.stand("north", study.identity, "approved")
    with pytest.raises(Halted):
        who.muster(waiting(registry, study, [lambda: None] * 3))
    shelf.stand("west", study.identity, "approved")
    assert who.muster(waiting(registry, study, [])) == list(NAMES)


def test_rooms_see_what_the_streams_left(registry: Any, study: Study) -> None:
    shelf = PresenceShelf(registry.connection)
    rooms = StreamedRooms(shelf, study.identity, 0.1)
    grants = {name: Grant(4, "") for name in NAMES}
    assert rooms.look(2, grants) == {}
    shelf.tell("west", study.identity, 2, Reached(4, 4, 4, 0, 1.5))
    shelf.tell("north", study.identity, 2, Reached(4, 1, 1, 3, 0.4))
    shelf.tell("south", study.identity, 1, Reached(4, 4, 4, 0, 1.5))
    assert rooms.look(2, grants) == {
        "north": SiteProgress("north", 1, 3, 1, 0.4, waiting=3),
        "west": SiteProgress("west", 4, 0, 4, 1.5),
    }
    topped = rooms.look(2, {"west": Grant(6, "")})  # it has not heard of its top-up yet
    assert topped == {"west": SiteProgress("west", 4, 2, 4, 1.5, waiting=1)}


@pytest.mark.slow
def test_a_halted_study_and_one_that_a_newer_start_runs_end_quietly(
    world: Callable[..., Any],
) -> None:
    made = world("budget.total=12", "audit.patients=0.0", locked=0)
    released: list[str] = []
    assert made.run(halted=lambda: True, release=lambda: released.append("x")) == []
    assert released == ["x"]
    seen = made.run(halted=lambda: made.committed(0, "report"), ended=lambda: released.append("y"))
    assert len(seen) == 1  # the first evaluation
    assert released == ["x"]
    ledger = Ledger.open(made.folder / "server" / "ledger.db", made.study, digest(made.weights))
    epoch = ledger.next_epoch()
    ledger.close()
    for home in made.homes.values():
        store = open_store(home, durable=False)
        store.steps.raise_epoch(made.study.identity, epoch + 9)
        store.close()
    made.registered = True
    assert len(made.run()) == 1
    for _ in range(9):
        made.run()
    assert len(made.run(ended=lambda: released.append("y"))) == 2
    assert released == ["x", "y"]
