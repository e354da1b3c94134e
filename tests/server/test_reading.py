"""Slow sites, absent sites, top-ups and settlements; killed at every message and every commit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from flwr.app import Error, Message
from flwr.common.constant import ErrorCode

from client.home import open_store
from protocol.records import Grant, SiteProgress
from protocol.steps import Selected
from server import account
from server.exchange import Timing
from server.federation import QuorumLost
from server.ledger import Ledger, Stage
from simulations.engines.local import LocalGrid

NOW = "reading.deadline_hours=1e-9"  # whoever is not done at the first look is slow
STUDY = (NOW, "budget.total=36", "aggregation.quorum=0.6", "audit.patients=0.0")
MEETING = Timing(patience=5.0, grace=0.05, resend=2.0, retry=0.01, again=0.02, poll=0.005)
World = Any


class Killed(BaseException):
    """Stands for the death of the server's process."""


class TornGrid(LocalGrid):
    """A local grid on which sites may be away, and which is told of every message's way.

    `away` says whether a site is not there; `tick` is called before and after each reply.
    """

    away: Callable[[str], bool]
    tick: Callable[[], None]

    def __init__(self, homes: Mapping[str, Path]) -> None:
        super().__init__(list(homes.values()))
        self._names = dict(zip(self._nodes, homes, strict=True))

    def get_node_ids(self) -> Iterable[int]:
        return [node for node, name in self._names.items() if not self.away(name)]

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        wanted = set(message_ids)
        for message in [m for m in self._queue if m.metadata.message_id in wanted]:
            if self.away(self._names[message.metadata.dst_node_id]):
                self._queue.remove(message)
                return [Message(Error(ErrorCode.NODE_UNAVAILABLE, "gone"), reply_to=message)]
        self.tick()
        replies = super().pull_messages(wanted)
        self.tick()
        return replies


def west_away(
    made: World, when: Callable[[], bool], tick: Callable[[], None] = lambda: None
) -> None:
    """Let west be away in these moments."""

    def grid(homes: Mapping[str, Path]) -> TornGrid:
        torn = TornGrid(homes)
        torn.away, torn.tick = lambda site: site == "west" and when(), tick
        return torn

    made.grid = grid


def closing(made: World) -> bool:
    """The first cycle's cases are open, and its reading is not over."""
    return bool(made.committed(0, "select") and not made.committed(0, "read"))


def slow_south(name: str, cycle: int) -> int:
    """In the first cycle a reader of south answers once, and one of west twice."""
    return {("south", 0): 1, ("west", 0): 2}.get((name, cycle), 10**6)


@pytest.fixture
def torn(world: Callable[..., World]) -> Callable[..., World]:
    """A world whose south is slow in the first cycle, and whose west is away when it closes."""

    def make(*overrides: str, name: str = "torn", **more: Any) -> World:
        given = {"most": slow_south, "honest": True, "pools": (60, 60, 60), "locked": 0} | more
        made = world(*STUDY, *overrides, name=name, **given)
        made.timing, made.registered = MEETING, True
        west_away(made, lambda: closing(made))
        return made

    return make


def books(made: World) -> Any:
    """By cycle: first grants, top-ups, what was known when it closed, and what is known now."""
    ledger = Ledger.look(made.folder / "server" / "ledger.db")
    found = []
    for cycle in range(account.cycles(ledger)):
        parts = account.grants(ledger, cycle)
        found.append(
            {
                "granted": {s: [g.count for g in each] for s, each in parts.items()},
                "then": ledger.records(Stage(cycle, "read"), SiteProgress),
                "now": account.progress(ledger, cycle),
            }
        )
    ledger.close()
    return found


def check(made: World) -> None:
    """Granted = spent + returned to the reading; the sites' own books say the same."""
    total = 0
    for cycle, book in enumerate(books(made)):
        for site, counts in book["granted"].items():
            now = book["now"][site]
            assert sum(counts) == now.spent + now.returned
            total += now.spent
            store = open_store(made.homes[site], durable=False)
            given = store.readings.granted(made.study.identity, cycle)
            read, _ = store.readings.spent(made.study.identity, cycle)
            store.close()
            assert given == sum(counts)  # granted once, top-ups too
            assert now.spent == read + now.waiting
    assert total <= made.study.budget.total


def test_what_slow_sites_return_goes_to_free_readers_and_the_absent_are_settled_later(
    torn: Callable[..., World],
) -> None:
    made = torn()
    milestones = made.run()
    check(made)
    first = books(made)[0]
    assert first["granted"] == {"north": [4, 3], "south": [4], "west": [4]}
    assert first["then"]["south"] == SiteProgress("south", 1, 3, 1, 0.3)
    assert first["then"]["north"].spent == 7
    west = first["then"]["west"]
    assert (west.spent, west.returned, west.readings, west.waiting) == (4, 0, 2, 2)  # held
    settled = first["now"]["west"]
    assert (settled.spent, settled.returned, settled.waiting) == (2, 2, 0)
    record = milestones[1].record
    assert record.grants["north"].count == 7
    assert "top-up of what slow sites returned" in record.grants["north"].reason
    assert sum(p.spent for book in books(made) for p in book["now"].values()) == 36
    assert milestones[2].record.reports["west"].labeled == 2  # what it read while it was away


def test_a_site_without_cases_left_is_not_topped_up(torn: Callable[..., World]) -> None:
    made = torn(pools=(4, 60, 60))
    made.run()
    assert books(made)[0]["granted"]["north"] == [4]
    check(made)


def test_a_cycle_does_not_close_below_its_quorum(torn: Callable[..., World]) -> None:
    made = torn("aggregation.quorum=1.0")
    with pytest.raises(QuorumLost, match="2 sites were done or answered, a quorum is 3"):
        made.run()
    west_away(made, lambda: False)
    made.run()
    check(made)


def test_an_old_copy_of_a_site_does_not_give_readings_back() -> None:
    grant = Grant(5, "")
    told = SiteProgress("west", 1, 4, 1, 0.3)
    seen = SiteProgress("west", 3, 2, 3, 1.0, waiting=2)
    assert account.accounted(grant, told, seen, "west") == SiteProgress("west", 3, 2, 3, 1.0)
    assert account.accounted(grant, told, None, "west") == told
    silent = account.accounted(grant, None, seen, "west")
    assert silent == SiteProgress("west", 5, 0, 3, 1.0, waiting=2)
    unheard = account.accounted(grant, None, None, "west")
    assert unheard == SiteProgress("west", 5, 0, 0, 0.0, waiting=5)
    assert account.accounted(Grant(3, ""), None, seen, "west").waiting == 0
    minutes = SiteProgress("west", 6, -1, 9, 5.5)
    assert account.accounted(grant, minutes, None, "west").returned == -1


def test_a_site_that_missed_its_grant_gets_it_when_it_is_back(torn: Callable[..., World]) -> None:
    made = torn("reading.deadline_hours=1.0", most=lambda name, cycle: 10**6)
    made.rooms.interval = 0.01
    west_away(made, lambda: made.committed(0, "report") and len(made.rooms.called) < 3)
    made.run()
    check(made)
    ledger = Ledger.look(made.folder / "server" / "ledger.db")
    assert list(ledger.records(Stage(0, "select"), Selected) or ()) == ["north", "south"]
    ledger.close()
    assert books(made)[0]["then"]["west"].spent == 4


def moments(made: World, monkeypatch: pytest.MonkeyPatch, at: int) -> list[int]:
    """Count the moments of the first cycle's reading; die in the one with that number."""
    count = [0]

    def moment() -> None:
        if made.committed(0, "allocate") and not made.committed(1, "report"):
            count[0] += 1
            if count[0] == at:
                raise Killed

    commit = Ledger.commit

    def committing(self: Ledger, *given: Any) -> None:
        moment()
        commit(self, *given)
        moment()

    monkeypatch.setattr(Ledger, "commit", committing)
    west_away(made, lambda: closing(made), moment)
    return count


def killed_everywhere(
    torn: Callable[..., World], monkeypatch: pytest.MonkeyPatch, first: int, stride: int
) -> None:
    whole = torn("budget.total=24", name="whole")
    with monkeypatch.context() as patch:
        count = moments(whole, patch, -1)
        whole.run()
    assert 30 < count[0] < 120
    for at in range(first, count[0] + 1, stride):
        made = torn("budget.total=24", name=f"killed-{at}")
        with monkeypatch.context() as patch:
            moments(made, patch, at)
            with pytest.raises(Killed):
                made.run()
        west_away(made, lambda made=made: closing(made))
        made.run()
        check(made)
        assert books(made) == books(whole), at
        assert made.ledger() == whole.ledger(), at


def test_killed_at_messages_and_commits_the_books_are_the_same(
    torn: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_everywhere(torn, monkeypatch, 4, 11)


@pytest.mark.slow
def test_killed_at_every_message_and_commit_the_books_are_the_same(
    torn: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_everywhere(torn, monkeypatch, 1, 1)
