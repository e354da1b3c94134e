"""The queue by hand: who gets which case, what it costs, and when it is over."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.cost import expected_seconds, spent
from client.home import open_store
from client.keys import SiteKey
from client.queue import ReadingRefused, next_case, progress, submit, waiting
from client.site import Arrival, enrol
from client.store.reading_shelf import Opening
from client.store.store import SiteStore
from protocol.records import Answer, Reading
from protocol.study import Study

AT = "2026-01-05T08:00:00+00:00"


def opened(
    store: SiteStore, study: Study, grant: int, cases: int, cycle: int = 0, first: int = 1
) -> None:
    """A cycle with a grant and that many open cases, ids from `first`."""
    if not len(store.cases.pool("", 0.0, 0)):
        names = [str(i) for i in range(60)]
        enrol(
            store,
            SiteKey(bytes(16)),
            Arrival(names, names, ["pool"] * 60, range(60)),
            clustered=False,
        )
    with store.transaction():
        store.steps.approve(study, "w")
        store.readings.grant(study.identity, cycle, 0, grant)
        ids = range(first, first + cases)
        store.readings.open(study.identity, cycle, [Opening(i, "query") for i in ids])


def say(
    store: SiteStore,
    study: Study,
    reader: str,
    answer: Answer = "answered",
    *,
    cycle: int = 0,
    seconds: float = 20.0,
) -> int | None:
    """The case that a reader was given and has answered; None where there was none."""
    opening = next_case(store, study, cycle, reader)
    if opening is None:
        return None
    value = (0, 1) if answer == "answered" else ()
    submit(store, study, cycle, opening, Reading("", reader, AT, seconds, answer, value))
    return opening.case


def test_cases_come_in_the_order_they_were_opened(
    tiny_store: SiteStore, tiny_study: Callable[..., Study]
) -> None:
    study = tiny_study()
    opened(tiny_store, study, 4, 0)
    with tiny_store.transaction():
        tiny_store.readings.open(study.identity, 0, [Opening(i, "query") for i in (7, 3)])
        tiny_store.readings.open(study.identity, 0, [Opening(i, "audit") for i in (9, 1)])
    assert [say(tiny_store, study, r) for r in "aabb"] == [7, 3, 9, 1]
    assert say(tiny_store, study, "a") is None


def test_every_case_gets_its_answers_and_no_reader_twice(
    tiny_store: SiteStore, tiny_study: Callable[..., Study]
) -> None:
    study = tiny_study("reading.readers_per_case=2")
    opened(tiny_store, study, 6, 3)
    assert [say(tiny_store, study, "a") for _ in range(4)] == [1, 2, 3, None]
    assert len(waiting(tiny_store, study, 0)) == 3
    assert [say(tiny_store, study, "b"), say(tiny_store, study, "c")] == [1, 2]
    assert [say(tiny_store, study, "c"), say(tiny_store, study, "b")] == [3, None]
    answers = tiny_store.readings.answers(study.identity, 0)
    assert {case: sorted(by) for case, by in answers.items()} == {
        1: ["a", "b"], 2: ["a", "c"], 3: ["a", "c"],
    }  # fmt: skip


@pytest.mark.parametrize("doubt", ["unsure", "unreadable"])
@pytest.mark.parametrize("wanted", [1, 2])
def test_a_doubt_goes_to_exactly_one_reader_more(
    tiny_store: SiteStore, tiny_study: Callable[..., Study], doubt: Answer, wanted: int
) -> None:
    study = tiny_study(f"reading.readers_per_case={wanted}", "simulation.readers.per_site=5")
    opened(tiny_store, study, 30, 2)
    given = [say(tiny_store, study, reader, doubt) for reader in "abcde"]
    # every case is left in doubt by one reader more than it wanted, and by no further one
    assert given == ([1, 1, 2, 2, None] if wanted == 1 else [1, 1, 1, 2, 2])


def test_a_doubt_that_the_next_reader_settles_is_over(
    tiny_store: SiteStore, tiny_study: Callable[..., Study]
) -> None:
    study = tiny_study()
    opened(tiny_store, study, 9, 1)
    assert say(tiny_store, study, "a", "unsure") == 1
    assert progress(tiny_store, study, 0, "s").waiting == 1
    assert say(tiny_store, study, "a") is None  # not to the same reader
    assert say(tiny_store, study, "b") == 1
    assert say(tiny_store, study, "c") is None
    assert progress(tiny_store, study, 0, "s").waiting == 0


def test_a_spent_grant_gives_nothing_more(
    tiny_store: SiteStore, tiny_study: Callable[..., Study]
) -> None:
    study = tiny_study()
    opened(tiny_store, study, 2, 5)
    assert [say(tiny_store, study, "a") for _ in range(3)] == [1, 2, None]
    told = progress(tiny_store, study, 0, "s")
    assert (told.spent, told.returned, told.readings, told.waiting) == (2, 0, 2, 0)
    with tiny_store.transaction():
        tiny_store.readings.grant(study.identity, 0, 1, 1)  # a top-up
    assert [say(tiny_store, study, "a") for _ in range(2)] == [3, None]


def test_of_two_readers_at_the_last_reading_one_is_refused(
    tiny_store: SiteStore, tiny_study: Callable[..., Study]
) -> None:
    study = tiny_study()
    opened(tiny_store, study, 1, 2)
    mine, yours = (next_case(tiny_store, study, 0, r) for r in "ab")
    assert mine is not None
    assert mine == yours
    reading = Reading("", "a", AT, 9.0, "answered", (1, 0))
    submit(tiny_store, study, 0, mine, reading)
    with pytest.raises(ReadingRefused, match="grant of 1 readings is spent"):
        submit(tiny_store, study, 0, mine, Reading("", "b", AT, 9.0, "answered", (1, 0)))
    assert spent(tiny_store, study, 0) == 1


@pytest.mark.parametrize(
    ("case", "reading", "words"),
    [
        (1, Reading("", "a", AT, 1.0, "answered", (0, 1)), "this reader has answered"),
        (9, Reading("", "b", AT, 1.0, "answered", (0, 1)), "not open in cycle 1"),
        (2, Reading("", "b", AT, 1.0, "answered", (1, 1)), "one 1 and else 0s"),
        (2, Reading("", "b", AT, 1.0, "answered", ()), "2 numbers"),
        (2, Reading("", "b", AT, 1.0, "answered", (0, 1, 0)), "2 numbers"),
        (2, Reading("", "b", AT, 1.0, "answered", (2, -1)), "2 numbers"),
        (2, Reading("", "b", AT, 1.0, "unsure", (0, 1)), "accepted is none"),
        (2, Reading("", "b", "yesterday", 1.0, "unsure"), "ISO 8601"),
    ],
)
def test_what_consensus_could_not_settle_is_refused_and_not_kept(
    tiny_store: SiteStore,
    tiny_study: Callable[..., Study],
    case: int,
    reading: Reading,
    words: str,
) -> None:
    study = tiny_study()
    opened(tiny_store, study, 5, 3)
    say(tiny_store, study, "a")
    with pytest.raises(ReadingRefused, match=words):
        submit(tiny_store, study, 0, Opening(case, "query"), reading)
    assert tiny_store.readings.spent(study.identity) == (1, 20.0)


def test_several_classes_are_an_answer_in_a_multi_label_task(
    tiny_store: SiteStore, tiny_study: Callable[..., Study]
) -> None:
    study = tiny_study("task.kind=multi-label")
    opened(tiny_store, study, 5, 3)
    for case, value in ((1, (1, 1)), (2, (0, 0))):
        submit(
            tiny_store, study, 0, Opening(case, "query"), Reading("", "a", AT, 1, "answered", value)
        )
    assert [r.value for r in tiny_store.labels.training(study.identity)] == [(1, 1), (0, 0)]


def test_minutes_are_the_ones_that_the_running_total_has_begun(
    tiny_store: SiteStore, tiny_study: Callable[..., Study]
) -> None:
    study = tiny_study("budget.unit=minutes")
    opened(tiny_store, study, 2, 9)
    told = []
    for seconds in (20.0, 30.0, 100.0):
        say(tiny_store, study, "a", seconds=seconds)
        told.append(spent(tiny_store, study, 0))
    assert told == [1, 1, 3]  # 20 s, 50 s; the reading that had begun runs over to 150 s
    assert say(tiny_store, study, "a") is None
    after = progress(tiny_store, study, 0, "s")
    assert (after.returned, after.waiting, after.minutes) == (-1, 0, 2.5)
    opened(tiny_store, study, 2, 9, cycle=1, first=20)
    say(tiny_store, study, "a", cycle=1, seconds=30.0)
    assert spent(tiny_store, study, 1) == 0  # the third minute was begun, and paid, in cycle 0
    say(tiny_store, study, "a", cycle=1, seconds=1.0)
    assert spent(tiny_store, study, 1) == 1


def test_expected_seconds_are_the_study_s_until_the_site_has_its_own(
    tiny_store: SiteStore, tiny_study: Callable[..., Study]
) -> None:
    study = tiny_study("budget.seconds=42.0")
    opened(tiny_store, study, 9, 9)
    assert expected_seconds(tiny_store, study) == 42.0
    say(tiny_store, study, "a", seconds=10.0)
    say(tiny_store, study, "a", seconds=30.0)
    assert expected_seconds(tiny_store, study) == 20.0


turns = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.sampled_from(["answered", "unsure", "unreadable"]),
        st.floats(0.0, 200.0),
    ),
    max_size=14,
)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    cycles=st.lists(st.tuples(st.integers(0, 8), st.integers(0, 6), turns), min_size=1, max_size=3),
    unit=st.sampled_from(["readings", "minutes"]),
    wanted=st.integers(1, 2),
)
def test_granted_is_spent_and_returned_and_cycles_add_up(
    cycles: list[tuple[int, int, list[tuple[str, Answer, float]]]], unit: str, wanted: int
) -> None:
    from protocol.study import parse

    study = parse(STUDY, [f"budget.unit={unit}", f"reading.readers_per_case={wanted}"])
    with TemporaryDirectory() as folder:
        store = open_store(Path(folder), durable=False)
        told, seconds = [], 0.0
        for cycle, (grant, cases, who) in enumerate(cycles):
            opened(store, study, grant, cases, cycle, 1 + 10 * cycle)
            longest = 0
            for reader, answer, length in who:
                if say(store, study, reader, answer, cycle=cycle, seconds=length) is not None:
                    seconds, longest = seconds + length, max(longest, ceil(length / 60))
            now = progress(store, study, cycle, "s")
            told.append(now)
            assert (
                now.spent + now.returned == grant == store.readings.granted(study.identity, cycle)
            )
            assert now.spent >= 0
            assert now.returned >= (0 if unit == "readings" else -longest)
            given = store.readings.answers(study.identity, cycle)
            assert sum(len(by) for by in given.values()) == now.readings
            assert all(len(by) <= wanted + 1 for by in given.values())
        total = sum(t.spent for t in told)
        whole = sum(t.readings for t in told)
        assert total == (whole if unit == "readings" else pytest.approx(ceil(seconds / 60), abs=1))
        if unit == "minutes":
            per_cycle = [store.readings.spent(study.identity, c)[1] for c in range(len(cycles))]
            assert total == -int(-sum(per_cycle) // 60)
        store.close()


STUDY = {
    "schema": 1,
    "name": "queue",
    "task": {
        "image": [1, 8, 8],
        "classes": [{"name": "a", "definition": "a"}, {"name": "b", "definition": "b"}],
    },
    "network": {"name": "tiny-cnn"},
}


def test_answers_of_one_cycle_do_not_count_in_another(
    tiny_store: SiteStore, tiny_study: Callable[..., Study]
) -> None:
    study = tiny_study()
    opened(tiny_store, study, 3, 3)
    say(tiny_store, study, "a")
    opened(tiny_store, study, 3, 2, cycle=1, first=2)  # cases 2 and 3 come back
    assert [say(tiny_store, study, "a", cycle=1) for _ in range(3)] == [2, 3, None]
    assert [progress(tiny_store, study, c, "s").spent for c in (0, 1)] == [1, 2]
    left = tiny_store.cases.pool(study.identity, 0.0, 2)
    assert np.array_equal(left, np.arange(4, 61))
