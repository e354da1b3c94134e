"""Cases that come back: when, which, how often, and what they cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from client.cost import spent
from client.keys import SiteKey
from client.queue import ReadingRefused, next_case, progress, readers_of, submit, waiting
from client.repeats import AGO, Lots, due
from client.site import Arrival, enrol
from client.store.reading_shelf import Opening
from client.store.store import SiteStore
from protocol.records import Reading, Stage
from protocol.study import Study, StudyError, parse

AT = "2026-01-05T08:00:00+00:00"
LOTS = Lots(b"a secret of sixteen")
CASES = 60


def opened(store: SiteStore, study: Study, grant: int, cases: int) -> None:
    names = [str(i) for i in range(CASES)]
    arrival = Arrival(names, names, ["pool"] * CASES, range(CASES))
    enrol(store, SiteKey(bytes(16)), arrival, clustered=False)
    with store.transaction():
        store.steps.approve(study, "w")
        store.readings.grant(study.identity, 0, 0, grant)
        purposes = ["audit" if i % 5 == 0 else "query" for i in range(1, cases + 1)]
        found = [Opening(i, p) for i, p in enumerate(purposes, 1)]  # type: ignore[arg-type]
        store.readings.open(study.identity, 0, found)


def say(store: SiteStore, study: Study, reader: str, answer: str = "answered") -> tuple[int, Stage]:
    """What a reader was given and has answered; (0, "blind") where there was nothing."""
    turn = due(store, study, 0, reader, LOTS)
    opening = turn.opening if turn else next_case(store, study, 0, reader)
    if opening is None:
        return 0, "blind"
    stage: Stage = "repeat" if turn else "blind"
    value = (0, 1) if answer == "answered" else ()
    reading = Reading("", reader, AT, 10.0, answer, value, False, stage)  # type: ignore[arg-type]
    submit(store, study, 0, opening, reading)
    return opening.case, stage


def session(store: SiteStore, study: Study, reader: str) -> list[tuple[int, Stage]]:
    given: list[tuple[int, Stage]] = []
    while (now := say(store, study, reader))[0]:
        given.append(now)
    return given


def test_cases_come_back_once_late_enough_and_as_often_as_the_study_says(
    tiny_store: SiteStore, tiny_study: Callable[..., Study]
) -> None:
    study = tiny_study("reading.repeats=0.3")
    opened(tiny_store, study, 200, CASES)
    given = session(tiny_store, study, "a")
    back = [case for case, stage in given if stage == "repeat"]
    first = [case for case, stage in given if stage == "blind"]
    assert first == list(range(1, CASES + 1))  # in their order, none of them left out
    assert len(back) == len(set(back))
    assert 6 <= len(back) <= 30  # 60 lots of 0.3
    for place, (case, stage) in enumerate(given):
        if stage == "repeat":
            assert place - given.index((case, "blind")) > AGO
    assert spent(tiny_store, study, 0) == len(given)
    assert len(tiny_store.labels.training(study.identity)) == 48
    assert len(tiny_store.labels.audit(study.identity)) == 12
    assert len(tiny_store.repeats.twice(study.identity)) == len(back)


def test_lots_know_no_case_s_purpose_and_fall_the_same_again() -> None:
    other = Lots(b"another secret!!")
    assert LOTS.share("when", 3) == LOTS.share("when", 3) != other.share("when", 3)
    shares = [LOTS.share("which", n) for n in range(4000)]
    assert np.mean(shares) == pytest.approx(0.5, abs=0.02)
    assert all(0 <= s < 1 for s in shares)
    assert len({LOTS.place("place", n) for n in range(4000)}) == 4000
    assert max(LOTS.place("place", n) for n in range(99)) < 2**52


def test_every_store_has_a_secret_of_its_own(tiny_store: SiteStore, tmp_path: Path) -> None:
    other = SiteStore.open(tmp_path / "other.db", durable=False)
    assert len(other.repeats.secret()) == len(tiny_store.repeats.secret()) == 32
    assert other.repeats.secret() != tiny_store.repeats.secret()
    other.close()


def test_nothing_waits_for_a_repeat_and_a_spent_grant_has_none(
    tiny_store: SiteStore, tiny_study: Callable[..., Study]
) -> None:
    study = tiny_study("reading.repeats=0.49")
    opened(tiny_store, study, 30, 30)
    given = session(tiny_store, study, "a")
    assert len(given) == 30
    told = progress(tiny_store, study, 0, "s")
    assert (told.spent, told.returned, told.waiting) == (30, 0, 0)
    assert due(tiny_store, study, 0, "a", LOTS) is None
    late = Reading("", "a", AT, 1.0, "answered", (0, 1), False, "repeat")
    again = {case for case, stage in given if stage == "repeat"}
    left = next(case for case, _ in given if case not in again)
    with pytest.raises(ReadingRefused, match="spent"):
        submit(tiny_store, study, 0, Opening(left, "query"), late)
    with pytest.raises(ReadingRefused, match="wants no answer"):
        submit(tiny_store, study, 0, Opening(min(again), "query"), late)


def test_nothing_comes_back_in_a_closed_cycle_or_without_the_study_s_word(
    tiny_store: SiteStore, tiny_study: Callable[..., Study]
) -> None:
    study = tiny_study("reading.repeats=0.49")
    opened(tiny_store, study, 50, 20)
    while due(tiny_store, study, 0, "a", LOTS) is None:
        say(tiny_store, study, "a")
    assert not {o.case for o in waiting(tiny_store, study, 0)} & set(
        tiny_store.repeats.past(study.identity, "a").given
    )
    assert due(tiny_store, tiny_study(), 0, "a", LOTS) is None
    with tiny_store.transaction():
        tiny_store.cycles.close(study.identity, 0, AT)
    assert due(tiny_store, study, 0, "a", LOTS) is None


def test_what_a_reader_was_shown_more_of_or_left_unsure_never_comes_back(
    tiny_store: SiteStore, tiny_study: Callable[..., Study]
) -> None:
    study = tiny_study("reading.repeats=0.49")
    opened(tiny_store, study, 200, 40)
    for number in range(16):
        opening = next_case(tiny_store, study, 0, "a")
        assert opening is not None
        answer, value = ("answered", (0, 1)) if number % 2 else ("unsure", ())
        reading = Reading("", "a", AT, 1.0, answer, value)  # type: ignore[arg-type]
        submit(tiny_store, study, 0, opening, reading)
        with tiny_store.transaction():
            if number % 4 == 1:
                tiny_store.leases.show(study.identity, opening.case, "a", "model", AT)
    may = set(tiny_store.repeats.past(study.identity, "a").may)
    assert may == {4, 8, 12, 16}
    back = {case for case, stage in session(tiny_store, study, "a") if stage == "repeat"}
    assert back
    assert not back & ({1, 2, 3, 5, 6, 7, 9, 10, 11, 13, 14, 15})


def test_a_repeat_of_an_excluded_or_purged_patient_is_none(
    tiny_store: SiteStore, tiny_study: Callable[..., Study]
) -> None:
    study = tiny_study("reading.repeats=0.49")
    opened(tiny_store, study, 90, 30)
    session(tiny_store, study, "a")
    before = tiny_store.repeats.twice(study.identity)
    key = SiteKey(bytes(16))
    with tiny_store.transaction():
        tiny_store.cases.exclude(key.patient(str(before[0].case - 1)))
        tiny_store.cases.purge(key.patient(str(before[1].case - 1)), AT)
    left = {pair.case for pair in tiny_store.repeats.twice(study.identity)}
    assert left == {pair.case for pair in before[2:]}


def test_a_case_drawn_by_chance_wants_one_answer_more(
    tiny_store: SiteStore, tiny_study: Callable[..., Study]
) -> None:
    study = tiny_study("reading.second_share=0.4", "simulation.readers.per_site=3")
    opened(tiny_store, study, 200, CASES)
    drawn = {case for case in range(1, CASES + 1) if readers_of(study, case) == 2}
    assert 14 <= len(drawn) <= 34
    for reader in ("a", "b", "c"):
        session(tiny_store, study, reader)
    given = tiny_store.readings.answers(study.identity, 0)
    assert {case for case, by in given.items() if len(by) == 2} == drawn
    assert len(given) == CASES
    # the model's opinion, the order and the purpose play no part; another seed draws others
    assert drawn != {c for c in range(1, CASES + 1) if readers_of(tiny_study("seed=9"), c) == 2}


def test_an_unsure_still_gets_one_reader_more_on_top(
    tiny_store: SiteStore, tiny_study: Callable[..., Study]
) -> None:
    study = tiny_study("reading.second_share=1.0", "simulation.readers.per_site=5")
    opened(tiny_store, study, 30, 2)
    given = [say(tiny_store, study, reader, "unsure")[0] for reader in "abcde"]
    assert given == [1, 1, 1, 2, 2]


def test_grants_open_fewer_cases_where_some_are_read_again(
    tiny_study: Callable[..., Study],
) -> None:
    rule = tiny_study("reading.second_share=0.5", "reading.repeats=0.2").reading
    assert rule.readings_per_case == pytest.approx(1.8)
    assert rule.most_readers == 2


def test_a_site_without_a_second_reader_is_refused(tiny_study: Callable[..., Study]) -> None:
    document = tiny_study().model_dump(mode="json", by_alias=True)
    document["simulation"] = {"readers": {"per_site": 1}}
    with pytest.raises(StudyError, match=r"reading\.second_share = 0\.5"):
        parse(document, ["reading.second_share=0.5"])


@pytest.mark.slow
def test_who_gets_what_back_differs_from_reader_to_reader(
    tiny_store: SiteStore, tiny_study: Callable[..., Study]
) -> None:
    study = tiny_study("reading.repeats=0.3", "reading.readers_per_case=2")
    opened(tiny_store, study, 300, 40)
    back = Counter()
    for reader in ("a", "b"):
        back.update(c for c, stage in session(tiny_store, study, reader) if stage == "repeat")
    assert back
    assert max(back.values()) <= 2
    assert min(back.values()) == 1
