"""What the model says of opened cases: kept for each that can be read, in words, with a map."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client import kept_model
from client.images import Unreadable
from client.learning.resident import Resident
from client.learning.score import predict
from client.site import Site
from client.steps.opinions import opinions
from client.store.practice_shelf import PracticeCase
from protocol.records import Grant
from protocol.study import Study, document, parse
from strategies.query.words import AT_RANDOM

Ask = Callable[..., Any]


@pytest.fixture
def after(tiny_study: Callable[..., Study]) -> Study:
    return tiny_study('reading.show_ai="after"', "budget.exploration=0.3", "audit.grant=0.3")


def told(site: Site) -> dict[int, tuple[Any, ...]]:
    sql = 'SELECT "case", probs, why, saliency, rows FROM opinions ORDER BY "case"'
    return {row[0]: row[1:] for row in site.store.connection.execute(sql)}


def opened(site: Site, study: Study, ask: Ask, arrays: Any, cycle: int = 0) -> dict[int, str]:
    ask(site, study, "report", cycle=cycle, arrays=arrays)
    ask(site, study, "select", cycle=cycle, grant=Grant(12, ""))
    found = site.store.readings.opened(study.identity, cycle)
    return {o.case: o.purpose for o in found}


def test_each_opened_case_has_an_opinion(
    after: Study, tiny_site: Callable[..., Site], first_weights: Any, ask: Ask
) -> None:
    site, arrays = tiny_site(after), first_weights(after)
    purposes = opened(site, after, ask, arrays)
    said = told(site)
    assert said.keys() == purposes.keys()
    assert set(purposes.values()) == {"query", "explore", "audit"}
    model = Resident(after.network, after.task.image, 2)
    model.load(arrays)
    for opening in site.store.readings.opened(after.identity, 0):
        opinion = site.store.opinions.of(after.identity, 0, opening.case)
        assert opinion
        pixels = site.images.take(site.store.cases.rows(np.array([opening.case])), (1, 8, 8))
        fresh = predict(model, pixels, task=after.task).probs[0]
        assert opinion.probs == pytest.approx(fresh.tolist(), abs=1e-6)
        assert (opening.probs is None) is (opening.purpose == "audit")
        assert opinion.probs == (opening.probs or opinion.probs)
        assert opinion.rows * opinion.rows == len(opinion.saliency)
    assert {why_ for _, why_, *_ in said.values()} == {AT_RANDOM}  # a cold start is drawn as well


@pytest.mark.parametrize(
    ("strategy", "begins"),
    [
        ([], "The model was unsure between"),
        (['query.strategy="ward"'], "The model was unsure between"),
        (
            ['query.strategy="ward"', "query.arguments={warm=[8, 24]}"],
            "The study's own rule asked for it.",
        ),
    ],
)
def test_a_strategy_s_cases_say_why_and_the_others_look_alike(
    strategy: list[str],
    begins: str,
    after: Study,
    tiny_site: Callable[..., Site],
    first_weights: Any,
    ask: Ask,
    read_cases: Any,
) -> None:
    after = parse(document(after), strategy)
    site, arrays = tiny_site(after), first_weights(after)
    opened(site, after, ask, arrays)
    read_cases(site.store, after)
    update = ask(site, after, "train", arrays=arrays)
    purposes = opened(site, after, ask, update.arrays, cycle=1)
    words: dict[str, set[str]] = {}
    for case, purpose in purposes.items():
        opinion = site.store.opinions.of(after.identity, 1, case)
        assert opinion
        words.setdefault(purpose, set()).add(opinion.why)
    assert words["audit"] == words["explore"] == {AT_RANDOM}
    assert all(said.startswith(begins) for said in words["query"])
    files = list((site.home / "kept-models").iterdir())
    assert [f.name for f in files] == [f"{after.identity[:16]}-1.safetensors"]


def test_a_study_that_shows_nothing_computes_nothing(
    tiny_study: Callable[..., Study],
    tiny_site: Callable[..., Site],
    first_weights: Any,
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study = tiny_study()
    site, arrays = tiny_site(study), first_weights(study)
    monkeypatch.setattr("client.steps.opinions._of_some", None)
    opened(site, study, ask, arrays)
    assert told(site) == {}
    assert not (site.home / "kept-models").exists()


@pytest.mark.slow
def test_the_choice_is_the_same_with_and_without(
    tiny_study: Callable[..., Study],
    tiny_site: Callable[..., Site],
    first_weights: Any,
    ask: Ask,
    read_cases: Any,
    tmp_path: Path,
) -> None:
    rows, trained = [], []
    for show in ("never", "after"):
        study = tiny_study(f'reading.show_ai="{show}"')
        (tmp_path / show).mkdir()
        site, arrays = tiny_site(study, folder=tmp_path / show), first_weights(study)
        for cycle in (0, 1):
            opened(site, study, ask, arrays, cycle)
            read_cases(site.store, study, cycle)
            arrays = ask(site, study, "train", cycle=cycle, arrays=arrays).arrays
        sql = 'SELECT cycle, position, "case", purpose, probs FROM openings ORDER BY 1, 2'
        rows.append(list(site.store.connection.execute(sql)))
        trained.append(arrays)
    assert rows[0] == rows[1]
    assert all(np.array_equal(trained[0][k], trained[1][k]) for k in trained[0])


def test_a_repeated_select_writes_no_second_opinion(
    after: Study, tiny_site: Callable[..., Site], first_weights: Any, ask: Ask
) -> None:
    site = tiny_site(after)
    opened(site, after, ask, first_weights(after))
    before = told(site)
    ask(site, after, "select", grant=Grant(12, ""))
    assert told(site) == before


def test_a_kill_before_the_commit_leaves_none_and_the_next_try_says_the_same(
    after: Study,
    tiny_site: Callable[..., Site],
    first_weights: Any,
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = tiny_site(after)
    ask(site, after, "report", arrays=first_weights(after))

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr("client.dispatch.let_out", die)
        with pytest.raises(KeyboardInterrupt):
            ask(site, after, "select", grant=Grant(12, ""))
    assert told(site) == {}
    assert site.store.readings.opened(after.identity, 0) == []
    ask(site, after, "select", grant=Grant(12, ""))
    first = told(site)
    assert len(first) == 12
    with site.store.transaction():
        for table in ("opinions", "openings", "grants"):
            site.store.connection.execute(f"DELETE FROM {table}")  # noqa: S608
        site.store.connection.execute("DELETE FROM steps WHERE step = 'select'")
    ask(site, after, "select", grant=Grant(12, ""))
    assert told(site) == first


class Lost:
    """Images of which some cannot be read, or the whole source."""

    def __init__(self, real: Any, rows: set[int] | None) -> None:
        self.real, self.rows = real, rows

    def take(self, rows: Any, image: Any) -> Any:
        if self.rows is None:
            raise Unreadable("away")
        if lost := [int(r) for r in rows if int(r) in self.rows]:
            raise Unreadable("gone", lost)
        return self.real.take(rows, image)


def test_a_case_that_cannot_be_read_has_no_opinion(
    after: Study, tiny_site: Callable[..., Site], first_weights: Any, ask: Ask
) -> None:
    site = tiny_site(after)
    ask(site, after, "report", arrays=first_weights(after))
    broken = replace(site, images=Lost(site.images, set(range(0, 48, 3))))  # type: ignore[arg-type]
    ask(broken, after, "select", grant=Grant(12, ""))
    cases = [o.case for o in site.store.readings.opened(after.identity, 0)]
    rows = dict(zip(cases, site.store.cases.rows(np.array(cases)).tolist(), strict=True))
    assert told(site).keys() == {c for c in cases if rows[c] % 3}
    assert 0 < len(told(site)) < 12


def test_a_source_that_is_away_does_not_stop_the_study(
    after: Study, tiny_site: Callable[..., Site], first_weights: Any, ask: Ask
) -> None:
    site = tiny_site(after)
    ask(site, after, "report", arrays=first_weights(after))
    ask(replace(site, images=Lost(site.images, None)), after, "select", grant=Grant(12, ""))  # type: ignore[arg-type]
    assert len(site.store.readings.opened(after.identity, 0)) == 12
    assert told(site) == {}


def test_opinions_leave_with_their_patient(
    after: Study, tiny_site: Callable[..., Site], first_weights: Any, ask: Ask
) -> None:
    site = tiny_site(after)
    cases = sorted(opened(site, after, ask, first_weights(after)))
    (patient,) = site.store.connection.execute(
        "SELECT key FROM patients WHERE id = (SELECT patient FROM cases WHERE id = ?)", cases[:1]
    ).fetchone()
    gone = set(site.store.cases.of_patient(patient).tolist())
    with site.store.transaction():
        site.store.cases.purge(patient, "2026")
    assert told(site).keys() == set(cases) - gone


def test_a_kept_model_of_another_cycle_is_not_taken(tmp_path: Path) -> None:
    arrays = {"w": np.arange(3, dtype=np.float32)}
    kept_model.write(tmp_path, "a" * 64, 0, arrays, sync=False)
    kept_model.write(tmp_path, "b" * 64, 0, arrays, sync=False)
    kept_model.write(tmp_path, "a" * 64, 1, arrays, sync=False)
    assert kept_model.read(tmp_path, "a" * 64, 0) is None
    for study, cycle in (("a", 1), ("b", 0)):
        found = kept_model.read(tmp_path, study * 64, cycle)
        assert found is not None
        assert np.array_equal(found["w"], arrays["w"])


def test_an_opinion_is_of_a_case_that_is_there(tiny_store: Any) -> None:
    from client.store.opinion_shelf import Opinion

    with pytest.raises(sqlite3.IntegrityError), tiny_store.transaction():
        tiny_store.opinions.put("a" * 64, 0, [Opinion(1, (0.5, 0.5), "w")])


def test_who_leaves_the_pool_while_cases_are_chosen_is_not_asked(
    after: Study,
    tiny_site: Callable[..., Site],
    first_weights: Any,
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site, arrays = tiny_site(after), first_weights(after)
    away: list[int] = []

    def meanwhile(*about: Any) -> Any:
        said = opinions(*about)
        away.extend(opening.case for opening in about[3][:3])
        practises, excluded, purged = (
            site.store.connection.execute(
                "SELECT p.key FROM patients p JOIN cases c ON c.patient = p.id WHERE c.id = ?", (i,)
            ).fetchone()[0]
            for i in away
        )
        with site.store.transaction():
            assert site.store.practice.free(away[0])
            site.store.practice.put(PracticeCase(away[0], {"no": 1, "yes": 0}))
            site.store.cases.exclude(excluded)
            site.store.cases.purge(purged, "2026-01-05T08:00:00+00:00")
        assert len({practises, excluded, purged}) == 3
        return said

    monkeypatch.setattr("client.steps.select.opinions", meanwhile)
    found = opened(site, after, ask, arrays)
    assert 5 < len(found) < 12
    assert not found.keys() & set(away)
    assert told(site).keys() == found.keys()
    count = "SELECT count(*) FROM openings"
    assert site.store.connection.execute(count).fetchone() == (len(found),)
