"""Simulated readers: their rates, their seconds, their working week."""

from datetime import date, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.rehearsal import Readers
from protocol.sections import ClassName, Task
from simulations.readers import SimulatedReader, goes_on, reader, working_time

MONDAY, FRIDAY = date(2025, 1, 6), date(2025, 1, 10)


def truth(*ones: int, classes: int = 3) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    made = np.zeros(classes, np.uint8)
    made[list(ones)] = 1
    return made


def test_a_faultless_reader_says_the_truth() -> None:
    rng = np.random.default_rng(0)
    for true in range(3):
        said = SimulatedReader(error=(0.0,) * 3).answer(truth(true), rng)
        assert said.answer == "answered"
        assert said.value == tuple(truth(true).tolist())


@pytest.mark.slow
def test_errors_by_true_class_spread_over_the_other_classes() -> None:
    rng = np.random.default_rng(0)
    one = SimulatedReader(error=(0.0, 0.3, 1.0))
    said = np.array([[one.answer(truth(t), rng).value for _ in range(4000)] for t in range(3)])
    shares = said.mean(axis=1)  # (true, said)
    expected = np.array([[1, 0, 0], [0.15, 0.7, 0.15], [0.5, 0.5, 0]])
    assert shares == pytest.approx(expected, abs=0.025)  # three standard errors
    assert (said.sum(axis=2) == 1).all()


def test_multi_label_flips_each_class_with_its_own_rate() -> None:
    rng = np.random.default_rng(0)
    one = SimulatedReader(error=(0.0, 0.2, 1.0), multi_label=True)
    for start in (truth(), truth(0, 1)):
        said = np.array([one.answer(start, rng).value for _ in range(4000)])
        flipped = (said != start).mean(axis=0)
        assert flipped == pytest.approx([0.0, 0.2, 1.0], abs=0.02)


def test_unsure_and_unreadable_have_no_value() -> None:
    rng = np.random.default_rng(0)
    one = SimulatedReader(error=(0.1, 0.1), unsure=0.2, unreadable=0.1)
    said = [one.answer(truth(0, classes=2), rng) for _ in range(4000)]
    kinds = [s.answer for s in said]
    assert kinds.count("unsure") / 4000 == pytest.approx(0.2, abs=0.02)
    assert kinds.count("unreadable") / 4000 == pytest.approx(0.1, abs=0.015)
    assert all((s.value == ()) == (s.answer != "answered") for s in said)


@pytest.mark.parametrize("spread", [0.0, 0.4, 1.0])
def test_seconds_have_the_mean_they_say(spread: float) -> None:
    rng = np.random.default_rng(0)
    one = SimulatedReader(error=(0.0, 0.0), seconds=30, spread=spread)
    seconds = [one.answer(truth(0, classes=2), rng).seconds for _ in range(5000)]
    assert np.mean(seconds) == pytest.approx(30, rel=0.06)
    assert min(seconds) > 0
    assert np.std(np.log(seconds)) == pytest.approx(spread, abs=0.03)


def test_every_answer_takes_as_many_random_numbers() -> None:
    kinds = [
        SimulatedReader(error=(e, e, e), unsure=u, multi_label=m)
        for e in (0.0, 1.0)
        for u in (0.0, 1.0)
        for m in (False, True)
    ]
    after = set()
    for one in kinds:
        rng = np.random.default_rng(7)
        one.answer(truth(1), rng)
        after.add(float(rng.random()))
    assert len(after) == 1


def test_one_class_in_a_multi_label_task() -> None:
    one = SimulatedReader(error=(1.0,), multi_label=True)
    assert one.answer(truth(classes=1), np.random.default_rng(0)).value == (1,)


def test_a_study_describes_its_readers() -> None:
    classes = tuple(ClassName(name=n, definition="d") for n in ("a", "b", "c"))
    made = reader(Readers(error=0.1, unsure=0.2, seconds=9.0), Task(classes=classes))
    assert made == SimulatedReader(error=(0.1,) * 3, unsure=0.2, seconds=9.0)
    several = Readers(error=(0.1, 0.2, 0.3))
    assert reader(several, Task(kind="multi-label", classes=classes)) == SimulatedReader(
        error=(0.1, 0.2, 0.3), multi_label=True
    )


def test_impossible_readers_and_truths_are_refused() -> None:
    with pytest.raises(ValueError, match="accepted are shares that sum to at most 1"):
        SimulatedReader(error=(0.0, 0.0), unsure=0.7, unreadable=0.6)
    with pytest.raises(ValueError, match="accepted is one share from 0 to 1"):
        SimulatedReader(error=(0.0, 1.1))
    with pytest.raises(ValueError, match="accepted is above 0"):
        SimulatedReader(error=(0.0, 0.0), seconds=0)
    one, rng = SimulatedReader(error=(0.0, 0.0, 0.0)), np.random.default_rng(0)
    for wrong in (truth(), truth(0, 1), truth(0, classes=2)):
        with pytest.raises(ValueError, match="with exactly one"):
            one.answer(wrong, rng)


@pytest.mark.parametrize(
    ("start", "hours", "seconds", "expected"),
    [
        (MONDAY, 1, 0, "2025-01-06T08:00:00.000+00:00"),
        (MONDAY, 1, 90.5, "2025-01-06T08:01:30.500+00:00"),
        (MONDAY, 1, 3600, "2025-01-06T09:00:00.000+00:00"),  # a day's last second is that day's
        (MONDAY, 1, 3600 + 1e-9, "2025-01-06T09:00:00.000+00:00"),
        (MONDAY, 1, 3601, "2025-01-07T08:00:01.000+00:00"),
        (FRIDAY, 1, 3599, "2025-01-10T08:59:59.000+00:00"),
        (FRIDAY, 1, 3600, "2025-01-10T09:00:00.000+00:00"),
        (MONDAY, 1, 5 * 3600, "2025-01-10T09:00:00.000+00:00"),
        (MONDAY, 2, 5 * 7200 + 60, "2025-01-13T08:01:00.000+00:00"),  # over the weekend
        (date(2025, 1, 11), 1, 1, "2025-01-13T08:00:01.000+00:00"),  # starts on a Saturday
        (MONDAY, 24, 23 * 3600, "2025-01-07T07:00:00.000+00:00"),
    ],
)
def test_working_time_by_hand(start: date, hours: float, seconds: float, expected: str) -> None:
    assert working_time(start, hours, seconds) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "2025-01-10T08:00:00.000+00:00"),
        (3599, "2025-01-10T08:59:59.000+00:00"),
        (3600, "2025-01-13T08:00:00.000+00:00"),
        (3600 - 1e-9, "2025-01-13T08:00:00.000+00:00"),
    ],
)
def test_whose_hours_are_spent_begins_the_next_case_on_the_next_working_day(
    seconds: float, expected: str
) -> None:
    assert goes_on(FRIDAY, 1, seconds) == expected


@pytest.mark.slow
@given(
    hours=st.floats(0.1, 24),
    seconds=st.lists(st.floats(0, 1e6), min_size=2, max_size=2).map(sorted),
)
def test_the_clock_never_goes_back_and_starts_no_day_on_a_weekend(
    hours: float, seconds: list[float]
) -> None:
    first, second = (working_time(MONDAY, hours, s) for s in seconds)
    assert first <= second
    at = datetime.fromisoformat(second)
    assert at.weekday() < 5 or hours > 15.99
    assert second <= goes_on(MONDAY, hours, seconds[1])


@pytest.mark.parametrize(("hours", "seconds"), [(0, 1), (25, 1), (1, -1), (1, float("nan"))])
def test_impossible_hours_are_refused(hours: float, seconds: float) -> None:
    with pytest.raises(ValueError, match="accepted is above 0 up to 24"):
        working_time(MONDAY, hours, seconds)
