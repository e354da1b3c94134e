"""Who answers in a rehearsal: people, who are awaited, or readers that know what is true."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from client.queue import progress
from client.room.choice import Offered
from client.room.desk import Desk, Given
from client.store.reader_shelf import Account
from client.store.store import SiteStore
from protocol.records import Answer
from protocol.seeds import Purpose, generator
from protocol.study import Study

Said: TypeAlias = tuple[Answer, tuple[int, ...]]

_ERR, _UNSURE = 0.08, 0.04
_SECONDS, _SPREAD = 12.0, 0.4
_LOOK = 1.0
_SETTLED = 3.0
"""Seconds in which the last answer of a cycle can still be taken back."""
_SAY = 20.0


@dataclass(slots=True)
class Simulated:
    """Answers at the desk that people use, by a clock of its own.

    Attributes:
        store: of the site.
        truths: 0 and 1 for each class, by case key.
    """

    store: SiteStore
    study: Study
    truths: Mapping[str, tuple[int, ...]]
    at: float = field(default_factory=time.time)

    def wait(self, cycle: int) -> None:
        """Answer by turns until nobody finds a case."""
        desk = Desk(self.store, lambda: self.at)
        people = [a for a in self.store.readers.every() if a.role in ("reader", "adjudicator")]
        while sum(self._one(desk, who, number) for number, who in enumerate(people)):
            pass

    def _one(self, desk: Desk, who: Account, number: int) -> bool:
        """Whether this one had a case to answer."""
        offered = desk.next(self.study, who)
        if offered is None or offered.turn is None:
            return False
        case = offered.turn.opening.case
        rng = generator(self.study.seed, 0, case, number, Purpose.READER)
        seconds = float(_SECONDS * rng.lognormal(0.0, _SPREAD))
        truth = self.truths[self.store.cases.keys_of([case])[0]]
        self.at += seconds
        told: Said = ("answered", truth) if offered.turn.adjudicating else said(truth, rng)
        desk.answer(self.study, who, _given(offered, told, seconds, rng))
        return True


def _given(offered: Offered, told: Said, seconds: float, rng: np.random.Generator) -> Given:
    assert offered.turn is not None  # noqa: S101 - the caller has looked
    answer, value = told
    position = offered.turn.opening.position
    return Given(rng.bytes(16).hex(), offered.cycle, position, answer, value, seconds)


def said(truth: tuple[int, ...], rng: np.random.Generator) -> Said:
    """What a reader says who is unsure or wrong now and then; wrong is the class before."""
    drawn = rng.random()
    if drawn < _UNSURE:
        return "unsure", ()
    wrong = drawn < _UNSURE + _ERR
    return "answered", (*truth[1:], truth[0]) if wrong else truth


@dataclass(frozen=True, slots=True)
class Awaited:
    """People, who answer in their own time.

    Attributes:
        alive: called at every look; keeps the room's page served.
        say: told how far they are.
    """

    store: SiteStore
    study: Study
    alive: Callable[[], None]
    say: Callable[[str], None]

    def wait(self, cycle: int) -> None:
        """Return once nothing has waited for an answer for a few seconds."""
        done, told = 0.0, (-1, 0.0)
        while done < _SETTLED:
            self.alive()
            now = progress(self.store, self.study, cycle, "")
            done = 0.0 if now.waiting else done + _LOOK
            if now.readings != told[0] and time.monotonic() > told[1] + _SAY:
                self.say(f"  {now.readings} readings; {now.waiting} cases wait")
                told = (now.readings, time.monotonic())
            time.sleep(_LOOK)
