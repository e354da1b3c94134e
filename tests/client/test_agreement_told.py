"""Agreement as a site's admin sees it: in the terminal and in the room; nobody else does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from client.agreement import agreement, plain
from client.cli import app
from client.home import HomeConfig, make_home, open_store
from client.keys import SiteKey
from client.site import Arrival, enrol
from client.store.reading_shelf import Opening
from client.store.store import SiteStore
from protocol.records import Reading, Stage
from protocol.study import Study, parse

AT = "2026-01-05T08:00:00+00:00"
CASES = 40


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A site with forty cases, without readings."""
    made = tmp_path / "site"
    make_home(made, HomeConfig(name="north", durable=False))
    store = open_store(made, durable=False)
    names = [str(i) for i in range(CASES)]
    arrival = Arrival(names, names, ["pool"] * CASES, range(CASES))
    enrol(store, SiteKey(bytes(16)), arrival, clustered=False)
    store.close()
    return made


def prepare(store: SiteStore, study: Study) -> None:
    with store.transaction():
        store.steps.approve(study, "w")
        openings = [Opening(i, "audit" if i % 4 == 0 else "query") for i in range(1, CASES + 1)]
        store.readings.open(study.identity, 0, openings)


def say(
    store: SiteStore, study: Study, reader: str, case: int, chosen: int, stage: Stage = "blind"
) -> None:
    value = tuple(int(i == chosen) for i in range(len(study.task.classes)))
    reading = Reading("", reader, AT, 1.0, "answered", value, reader == "cleo", stage)
    with store.transaction():
        purpose = "audit" if case % 4 == 0 else "query"
        store.readings.add(study.identity, 0, case, purpose, reading)  # type: ignore[arg-type]  # of the three words


def test_numbers_by_hand(home: Path, tiny_study: Callable[..., Study]) -> None:
    study, store = tiny_study(), open_store(home, durable=False)
    prepare(store, study)
    for case in range(1, 21):  # ann and ben: 5 zeros and 9 ones agreed, 6 apart
        say(store, study, "ann", case, int(case > 8))
        say(store, study, "ben", case, int(case > 5) if case < 18 else 0)
    for case in range(21, 31):
        say(store, study, "ann", case, case % 2)
        say(store, study, "ann", case, case % 2 if case != 21 else 0, "repeat")
    say(store, study, "cleo", 6, 1)  # had seen both, and is left out
    told = agreement(store, study)
    assert told.double == 20
    (pair,) = told.pairs
    assert pair.readers == ("ann", "ben")
    assert pair.measures["percent"].value == pytest.approx(14 / 20)
    expected = (8 * 8 + 12 * 12) / 400
    assert pair.measures["kappa"].value == pytest.approx((0.7 - expected) / (1 - expected))
    (own,) = told.own
    assert (own.readers, own.cases) == (("ann",), 10)
    assert own.measures["percent"].value == pytest.approx(0.9)
    assert [c.reader for c in told.confusions] == ["ann", "ben"]
    assert all(sum(row) == pytest.approx(1) for c in told.confusions for row in c.share)
    assert json.loads(json.dumps(plain(told), allow_nan=False))["double"] == 20
    store.close()


@pytest.mark.slow
def test_no_single_answer_changes_what_is_told(
    home: Path, tiny_study: Callable[..., Study]
) -> None:
    study, store = tiny_study(), open_store(home, durable=False)
    prepare(store, study)
    told: list[dict[str, Any]] = []
    seen: dict[tuple[str, ...], tuple[int, Any]] = {}
    acts: list[tuple[str, int, Stage]] = []
    for case in range(1, 19):
        acts += [("ann", case, "blind"), ("ben", case, "blind")]
        acts += [("cat", case - 3, "blind")] if case > 3 else []
        acts += [("ann", case - 6, "repeat")] if case > 6 else []
    for number, (reader, case, stage) in enumerate(acts):
        say(store, study, reader, case, (case + number) % 2, stage)
        found = agreement(store, study)
        told.append(plain(found))
        for part in (*found.between, *found.pairs, *found.own):
            assert part.cases % 5 == 0
            assert part.cases > 0
        for kind in ("between", "pairs", "own", "confusions"):
            for one in told[-1][kind]:
                place = (kind, *one.get("readers", [one.get("reader")]))
                cases = one.get("cases", told[-1]["double"])
                before, words = seen.get(place, (0, None))
                assert words == one or cases >= before + 5
                seen[place] = cases, one
    assert {0, 3} <= {len(t["pairs"]) for t in told}
    assert told[-1]["own"][0]["cases"] == 10
    store.close()


def test_a_multi_label_study_is_asked_class_by_class(
    home: Path, tiny_study: Callable[..., Study]
) -> None:
    document = tiny_study().model_dump(mode="json", by_alias=True)
    study = parse(document, ["task.kind=multi-label"])
    store = open_store(home, durable=False)
    prepare(store, study)
    for case in range(1, 13):
        for reader in ("ann", "ben"):
            say(store, study, reader, case, case % 2)
    told = agreement(store, study)
    assert [f.question for f in told.between] == list(study.task.names)
    assert [f.measures["kappa"].value for f in told.pairs] == pytest.approx([1.0, 1.0])
    assert told.confusions[0].names == (f"no {study.task.names[0]}", study.task.names[0])
    assert json.dumps(plain(told), allow_nan=False)
    store.close()


def test_the_command(home: Path, tiny_study: Callable[..., Study]) -> None:
    runner, study = CliRunner(), tiny_study()
    store = open_store(home, durable=False)
    prepare(store, study)
    for case in range(1, 9):
        say(store, study, "ann", case, case % 2)
    refused = runner.invoke(app, ["agreement", "--home", str(home)])
    assert refused.exit_code != 0
    assert "fewer than five cases were read twice here" in str(refused.exception)
    for case in range(1, 9):
        say(store, study, "ben", case, case % 2 if case > 1 else 0)
    text = runner.invoke(app, ["agreement", "--home", str(home)]).output
    assert "5 cases with two answers or more" in text
    assert "ann and ben (5 cases, fewer than 10: take it lightly)" in text
    assert "Cohen's kappa" in text
    told = json.loads(
        runner.invoke(
            app, ["agreement", study.name, "--home", str(home), "--format", "json"]
        ).output
    )
    assert (told["format"], told["studies"][0]["double"]) == (1, 5)
    assert told["studies"][0]["pairs"][0]["measures"]["percent"]["value"] == 0.8
    store.close()
