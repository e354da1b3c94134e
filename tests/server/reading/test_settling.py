"""Sites that were away when the last cycle closed, sites that withdraw, and pauses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from protocol.records import Grant, SiteProgress
from protocol.steps import Code, Refusal
from server import account
from server.ledger import Stage

pytestmark = pytest.mark.slow

Torn = Any
ONE = "budget.total=12"  # one cycle pays it all
WITHDRAWN = Refusal(Code.WITHDRAWN)


def returning(made: Torn, asked: int) -> Callable[[], bool]:
    """West is away from the closing of the first cycle until somebody looked for it so often."""
    looks = [0]

    def away() -> bool:
        looks[0] += made.world.committed(0, "evaluate") and made.world.committed(0, "read")
        return made.closing() or (made.world.committed(0, "read") and looks[0] <= asked)

    return away


def test_who_comes_back_after_the_last_cycle_pays_for_another(torn: Callable[..., Torn]) -> None:
    made = torn(ONE, most=lambda name, cycle: 1 if (name, cycle) == ("west", 0) else 10**6)
    made.world.timing = replace(made.world.timing, settle=30.0)
    made.away(returning(made, 30))
    milestones = made.world.run()
    made.check()
    first, second = made.books()
    assert (first["then"]["west"].spent, first["then"]["west"].waiting) == (4, 3)  # held
    assert first["now"]["west"].returned == 3
    assert sum(sum(counts) for counts in second["granted"].values()) == 3
    assert sum(p.spent for book in made.books() for p in book["now"].values()) == 12
    assert len(milestones) == 3
    before = made.world.ledger()
    made.world.run()  # nothing is left to do, and nothing is waited for again
    assert made.world.ledger() == before


def test_who_never_returns_is_waited_for_once(torn: Callable[..., Torn]) -> None:
    made = torn(ONE, most=lambda name, cycle: 1 if name == "west" else 10**6)
    made.world.timing = replace(made.world.timing, settle=0.3)
    made.away(lambda: made.closing() or made.world.committed(0, "read"))
    made.world.run()
    (book,) = made.books()
    assert (book["now"]["west"].spent, book["now"]["west"].waiting) == (4, 3)
    ledger = made.look()
    evaluated, last = Stage(0, "evaluate", 1), Stage(0, "settle", 1, 1)
    waited = ledger.time(last) - ledger.time(evaluated)
    ledger.close()
    assert timedelta() <= waited <= timedelta(seconds=10)


def test_a_server_that_is_killed_while_it_waits_goes_on_with_the_same_books(
    torn: Callable[..., Torn],
) -> None:
    made = torn(ONE, most=lambda name, cycle: 1 if (name, cycle) == ("west", 0) else 10**6)
    made.world.timing = replace(made.world.timing, settle=30.0)
    gone = [True]
    made.away(lambda: made.closing() or (made.world.committed(0, "read") and gone[0]))

    made.world.run(halted=lambda: made.world.committed(0, "settle"))
    assert not any(row[:4] == (0, "settle", 1, 1) for row in made.world.ledger())
    gone[0] = False
    made.world.run()
    made.check()
    assert sum(p.spent for book in made.books() for p in book["now"].values()) == 12


def test_a_withdrawn_site_spent_what_it_last_told(torn: Callable[..., Torn]) -> None:
    made = torn("budget.total=24")

    def refuse(site: str, key: Any) -> Refusal | None:
        return WITHDRAWN if site == "west" and made.world.committed(0, "select") else None

    made.away(lambda: False, refuse=refuse)
    made.world.run()
    books = made.books()
    west = books[0]["then"]["west"]
    assert (west.spent, west.returned, west.waiting) == (2, 2, 0)
    assert sum(books[0]["granted"]["north"]) == 4 + 5  # what south and west left
    assert "west" not in books[1]["granted"]
    spent = [p.spent for book in books for p in book["now"].values()]
    assert sum(spent) == 24


def test_a_site_that_withdraws_while_it_is_away_is_settled(torn: Callable[..., Torn]) -> None:
    made = torn("budget.total=24")

    def refuse(site: str, key: Any) -> Refusal | None:
        return WITHDRAWN if site == "west" and made.world.committed(0, "read") else None

    made.away(made.closing, refuse=refuse)
    made.world.run()
    west = made.books()[0]
    assert west["then"]["west"].waiting == 2
    assert west["now"]["west"] == SiteProgress("west", 2, 2, 2, 0.7)


def test_a_site_that_was_closed_for_the_others_is_not_held_in_the_end(
    torn: Callable[..., Torn],
) -> None:
    made = torn("budget.total=24")

    def refuse(site: str, key: Any) -> Refusal | None:
        final = key.step == "close" and key.cycle == 0 and made.world.committed(0, "close")
        return Refusal(Code.FAILED) if site == "south" and final else None

    made.away(lambda: False, refuse=refuse)
    made.world.run()
    south = made.books()[0]["then"]["south"]
    assert (south.spent, south.returned, south.waiting) == (1, 3, 0)
    made.check()


def test_without_a_word_a_withdrawn_site_spent_nothing() -> None:
    grant, seen = Grant(5, ""), SiteProgress("west", 2, 3, 2, 0.7, waiting=3)
    gone = account.accounted(grant, None, seen, "west", gone=True)
    assert gone == SiteProgress("west", 2, 3, 2, 0.7)
    assert account.accounted(grant, None, None, "west", gone=True).returned == 5


def test_a_pause_moves_the_deadline_of_a_reading(torn: Callable[..., Torn]) -> None:
    """The deadline of 0.7 s is over as soon as the pause of 2 s is no longer counted."""
    made = torn("reading.deadline_hours=0.0002", ONE, most=lambda name, cycle: 1)
    made.world.rooms.interval = 0.01
    made.away(lambda: False)
    began: list[datetime] = []

    def paused(since: datetime) -> timedelta:
        began.append(since)
        return timedelta(hours=1)

    def halted() -> bool:
        return len(began) > 20

    made.world.run(paused=paused, halted=halted)
    assert len(began) > 20
    assert not made.world.committed(0, "read")
    ledger = made.look()
    assert began[0] == ledger.time(Stage(0, "select"))
    ledger.close()
    made.world.run(paused=lambda since: timedelta(seconds=0.5))
    made.check()
    assert made.world.committed(0, "read")
