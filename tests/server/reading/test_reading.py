"""Slow sites, absent sites, top-ups and settlements; killed at every message and every commit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from protocol.records import Grant, SiteProgress
from protocol.steps import Selected
from server import account
from server.federation import QuorumLost
from server.ledger import Ledger, Stage

pytestmark = pytest.mark.slow

Torn = Any


class Killed(BaseException):
    """Stands for the death of the server's process."""


def test_what_slow_sites_return_goes_to_free_readers_and_the_absent_are_settled_later(
    torn: Callable[..., Torn],
) -> None:
    made = torn()
    milestones = made.world.run()
    made.check()
    first = made.books()[0]
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
    assert sum(p.spent for book in made.books() for p in book["now"].values()) == 36
    assert milestones[2].record.reports["west"].labeled == 2  # what it read while it was away


def test_a_site_without_cases_left_is_not_topped_up(torn: Callable[..., Torn]) -> None:
    made = torn(pools=(4, 60, 60))
    made.world.run()
    assert made.books()[0]["granted"]["north"] == [4]
    made.check()


def test_a_top_up_keeps_to_the_hours_that_the_first_grants_have_left(
    torn: Callable[..., Torn],
) -> None:
    hours = "budget.arguments.hours=0.05"  # 4 and 1 readings more of 36 s
    made = torn("budget.policy=hours", hours, "budget.seconds=36.0")
    made.world.run()
    assert made.books()[0]["granted"] == {"north": [4, 1], "south": [4], "west": [4]}
    made.check()


def test_a_cycle_does_not_close_below_its_quorum(torn: Callable[..., Torn]) -> None:
    made = torn("aggregation.quorum=1.0")
    with pytest.raises(QuorumLost, match="2 sites were done or answered, a quorum is 3"):
        made.world.run()
    made.away(lambda: False)
    made.world.run()
    made.check()


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


def test_a_site_that_missed_its_grant_gets_it_when_it_is_back(torn: Callable[..., Torn]) -> None:
    made = torn("reading.deadline_hours=1.0", most=lambda name, cycle: 10**6)
    made.world.rooms.interval = 0.01
    made.away(lambda: made.world.committed(0, "report") and len(made.world.rooms.called) < 3)
    made.world.run()
    made.check()
    ledger = made.look()
    assert list(ledger.records(Stage(0, "select"), Selected) or ()) == ["north", "south"]
    ledger.close()
    assert made.books()[0]["then"]["west"].spent == 4


def test_a_site_that_left_its_last_grant_unread_is_waited_for_a_quarter_as_long(
    torn: Callable[..., Torn],
) -> None:
    def silent_west(name: str, cycle: int) -> int:
        return 0 if name == "west" and cycle < 2 else 10**6

    made = torn("reading.deadline_hours=0.0006", most=silent_west)  # 2.2 s
    made.world.rooms.interval = 0.01
    made.away(lambda: False)
    made.world.run()
    made.check()
    ledger = made.look()
    took = []
    for cycle in range(2):
        began, ended = (ledger.time(Stage(cycle, step)) for step in ("select", "deadline"))
        assert began is not None
        assert ended is not None
        took.append((ended - began).total_seconds())
    assert ledger.time(Stage(2, "deadline")) is None  # it reads again, and is done in time
    ledger.close()
    assert took[0] >= 2.1
    assert 0.5 <= took[1] < 0.7 * took[0]
    assert made.books()[2]["then"]["west"].readings > 0


def moments(made: Torn, monkeypatch: pytest.MonkeyPatch, at: int) -> list[int]:
    """Count the moments of the first cycle's reading; die in the one with that number."""
    count = [0]

    def moment() -> None:
        if made.world.committed(0, "allocate") and not made.world.committed(1, "report"):
            count[0] += 1
            if count[0] == at:
                raise Killed

    commit = Ledger.commit

    def committing(self: Ledger, *given: Any) -> None:
        moment()
        commit(self, *given)
        moment()

    monkeypatch.setattr(Ledger, "commit", committing)
    made.away(made.closing, moment)
    return count


def killed_everywhere(
    torn: Callable[..., Torn], monkeypatch: pytest.MonkeyPatch, first: int, stride: int
) -> None:
    whole = torn("budget.total=24", name="whole")
    with monkeypatch.context() as patch:
        count = moments(whole, patch, -1)
        whole.world.run()
    assert 30 < count[0] < 120
    for at in range(first, count[0] + 1, stride):
        made = torn("budget.total=24", name=f"killed-{at}")
        with monkeypatch.context() as patch:
            moments(made, patch, at)
            with pytest.raises(Killed):
                made.world.run()
        made.away(made.closing)
        made.world.run()
        made.check()
        assert made.books() == whole.books(), at
        assert made.world.ledger() == whole.world.ledger(), at


def test_killed_at_messages_and_commits_the_books_are_the_same(
    torn: Callable[..., Torn], monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_everywhere(torn, monkeypatch, 9, 17)


@pytest.mark.slow
def test_killed_at_every_message_and_commit_the_books_are_the_same(
    torn: Callable[..., Torn], monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_everywhere(torn, monkeypatch, 1, 1)
