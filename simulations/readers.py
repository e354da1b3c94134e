"""Simulated physicians: through them alone does an arm see what the hidden truth says."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import numpy as np
from numpy.typing import NDArray

from protocol.records import Answer
from protocol.rehearsal import Readers
from protocol.sections import Task

DAY_STARTS = time(8, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Answered:
    """One simulated answer.

    Attributes:
        answer: "answered", "unsure" or "unreadable".
        value: (classes,) of 0 and 1; empty unless answered.
        seconds: active seconds it took.
    """

    answer: Answer
    value: tuple[int, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class SimulatedReader:
    """A reader with fixed rates, independent from case to case.

    Attributes:
        error: (classes,) probability of a wrong answer. In a single-label task by the true class,
            and a wrong answer is any other class, equally often; in a multi-label task each class
            is flipped with its own probability.
        multi_label: the task's kind.
        unsure: probability of "unsure".
        unreadable: probability of "unreadable".
        seconds: mean active seconds of a reading.
        spread: sigma of the log-normal around that mean.
    """

    error: tuple[float, ...]
    multi_label: bool = False
    unsure: float = 0.0
    unreadable: float = 0.0
    seconds: float = 20.0
    spread: float = 0.4

    def __post_init__(self) -> None:
        """Refuse rates that are no probabilities."""
        if not self.error or not all(0 <= e <= 1 for e in self.error):
            raise ValueError(
                f"error = {self.error}: accepted is one share from 0 to 1 for each class"
            )
        if min(self.unsure, self.unreadable) < 0 or self.unsure + self.unreadable > 1:
            raise ValueError(
                f"unsure = {self.unsure}, unreadable = {self.unreadable}: "
                "accepted are shares that sum to at most 1"
            )
        if not (self.seconds > 0 and self.spread >= 0):
            raise ValueError(
                f"seconds = {self.seconds}, spread = {self.spread}: "
                "accepted is above 0, and at least 0"
            )

    def answer(self, truth: NDArray[np.uint8], rng: np.random.Generator) -> Answered:
        """What this reader says to one case.

        Every answer takes as many random numbers, so a reader's stream does not shift with what
        was answered before.

        Args:
            truth: (classes,) of 0 and 1; exactly one 1 in a single-label task.
        Raises:
            ValueError: the truth is not that.
        """
        classes = len(self.error)
        ones = np.flatnonzero(truth)
        if truth.shape != (classes,) or (not self.multi_label and len(ones) != 1):
            raise ValueError(
                f"a truth of shape {truth.shape} with {len(ones)} ones; accepted is ({classes},)"
                + ("" if self.multi_label else " with exactly one")
            )
        fate = float(rng.random())
        slips = rng.random(classes) < np.asarray(self.error)
        step = int(rng.integers(1, classes)) if classes > 1 else 0
        mu = math.log(self.seconds) - self.spread**2 / 2  # so that the mean is `seconds`
        seconds = math.exp(mu + self.spread * float(rng.standard_normal()))
        if fate < self.unsure:
            return Answered("unsure", (), seconds)
        if fate < self.unsure + self.unreadable:
            return Answered("unreadable", (), seconds)
        if self.multi_label:
            value = np.where(slips, 1 - truth, truth)
        else:
            true = int(ones[0])
            value = np.roll(truth, step) if slips[true] else truth
        return Answered("answered", tuple(int(v) for v in value), seconds)


def reader(readers: Readers, task: Task, site: int = 0) -> SimulatedReader:
    """The reader that a study's [simulation.readers] describes, at the site of that number."""
    seconds = readers.seconds if isinstance(readers.seconds, tuple) else (readers.seconds,)
    one_for_all = not isinstance(readers.error, tuple) or len(readers.error) == 1
    errors = readers.error if isinstance(readers.error, tuple) else (readers.error,)
    return SimulatedReader(
        error=errors * len(task.classes) if one_for_all else errors,
        multi_label=task.multi_label,
        unsure=readers.unsure,
        unreadable=readers.unreadable,
        seconds=seconds[site % len(seconds)],
        spread=readers.spread,
    )


def working_time(start: date, hours_per_day: float, seconds: float) -> str:
    """When a reader has spent that many seconds since the start, as ISO 8601 in UTC.

    Readers read Monday to Friday from 08:00, so many hours each day; hours that are over go on at
    08:00 of the next working day. The last second of a day is that day's.

    Args:
        start: the first day; a Saturday or Sunday means the Monday after it.
        hours_per_day: above 0, at most 24.
        seconds: active seconds so far, at least 0.
    Raises:
        ValueError: out of these ranges.
    """
    days, rest = _spent(hours_per_day, seconds)
    if days and not rest:
        days, rest = days - 1, _length(hours_per_day)
    return _at(start, days, rest)


def goes_on(start: date, hours_per_day: float, seconds: float) -> str:
    """When a reader who has spent that many seconds begins the next case, as ISO 8601 in UTC.

    As `working_time`, but where a day's hours are spent, on the next working day.
    """
    return _at(start, *_spent(hours_per_day, seconds))


def _spent(hours_per_day: float, seconds: float) -> tuple[int, int]:
    """Whole working days, and milliseconds of the next."""
    if not (0 < hours_per_day <= 24 and 0 <= seconds < math.inf):
        raise ValueError(
            f"{hours_per_day} hours a day and {seconds} seconds; accepted is above 0 up to 24, and "
            "at least 0"
        )
    return divmod(round(seconds * 1000), _length(hours_per_day))


def _length(hours_per_day: float) -> int:
    """Milliseconds of a working day."""
    return max(round(hours_per_day * 3_600_000), 1)


def _at(start: date, days: int, milliseconds: int) -> str:
    day = np.busday_offset(np.datetime64(start), days, roll="forward")
    at = datetime.combine(date.fromisoformat(str(day)), DAY_STARTS)
    return (at + timedelta(milliseconds=milliseconds)).isoformat(timespec="milliseconds")
