"""Pools that change while a study runs: who comes when, of what class, before which scanner."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.cases.cases import Cases
from client.cases.open import open_cases
from protocol.study import StudyError, parse
from simulations.arrivals import Arrivals, arrivals, time_of
from simulations.hospitals import rows_of, write_images
from simulations.plan import plan_of
from simulations.scanners import scanner
from simulations.simulate import simulate

STUDY: dict[str, Any] = {
    "schema": 1,
    "name": "drift",
    "task": {
        "image": [1, 8, 8],
        "classes": [{"name": n, "definition": n} for n in ("no opacity", "opacity")],
    },
    "network": {"name": "mlp"},
    "training": {"rounds_per_cycle": 1, "min_steps": 1, "max_steps": 1},
    "budget": {"total": 24, "per_cycle": 8},
    "simulation": {"sites": 2, "split": "iid"},
}


def coming(**drift: Any) -> tuple[Cases, Arrivals]:
    simulation = STUDY["simulation"] | {"drift": drift}
    study = parse(STUDY | {"simulation": simulation})
    cases = open_cases("phantom", study.task, study.seed)
    cases = cases.take([i for i, s in enumerate(cases.splits) if s != "val"])
    return cases, arrivals(study, cases, rows_of(study, cases))


def test_without_drift_everybody_is_there_and_nothing_is_told() -> None:
    cases, found = coming()
    assert not found.at.any()
    assert sum(len(own) for own in found.first().values()) == len(cases)
    assert found.told() == []


def test_shares_come_as_they_are_asked_for_and_patients_come_whole() -> None:
    cases, found = coming(arriving=0.6, cycles=3)
    pool = np.asarray(cases.splits) == "pool"
    at = found.at[pool]
    shares = np.bincount(at) / len(at)
    assert shares == pytest.approx([0.4, 0.2, 0.2, 0.2], abs=0.02)
    cycle_of: dict[str, set[int]] = {}
    for patient, cycle in zip(cases.patients, found.at, strict=True):
        cycle_of.setdefault(patient, set()).add(int(cycle))
    assert all(len(cycles) == 1 for cycles in cycle_of.values())
    first = found.first()
    for site, own in found.rows.items():
        there = {*first[site].tolist()}
        assert {i for i in own.tolist() if cases.splits[i] == "test"} <= there
        assert all((i in there) == (found.at[i] == 0) for i in own.tolist() if pool[i])


def test_times_by_hand() -> None:
    """Density grows by 4 from start to end: half of the patients are there at log(2.5) / log 4."""
    tilt = np.array([1.0, 4.0, 4.0, 0.25])
    found = time_of(np.array([0.3, 0.5, 0.0, 0.5]), tilt)
    assert found == pytest.approx([0.3, 0.66096, 0.0, 1 - 0.66096], abs=1e-5)


def test_prevalence_drifts_by_the_factor_that_is_asked_for() -> None:
    rng = np.random.default_rng(0)
    n = 200_000
    times = time_of(rng.random(2 * n), np.repeat([1.0, 6.0], n))
    early, late = times < 0.05, times > 0.95
    rare = np.arange(2 * n) >= n
    odds = [rare[part].sum() / (~rare[part]).sum() for part in (early, late)]
    assert odds[1] / odds[0] == pytest.approx(6.0**0.95, rel=0.05)  # the middles of the parts
    told = coming(arriving=0.7, cycles=3, prevalence=[1.0, 8.0])[1].told()
    shares = [line["classes"][1] / line["cases"] for line in told]
    assert shares == sorted(shares)
    assert shares[-1] > 2 * shares[0]


def test_a_new_scanner_shows_those_who_come_later_and_nobody_else(tmp_path: Path) -> None:
    cases, found = coming(arriving=0.5, cycles=2, scanner=2)
    path = found.write_images(tmp_path)
    shown, before = np.load(path), np.load(write_images(found.study, cases, found.rows, tmp_path))
    late = found.at >= 2
    assert np.array_equal(shown[~late], before[~late])
    assert (shown[late] != before[late]).any(axis=(1, 2, 3)).mean() > 0.95
    own = next(iter(found.rows.values()))
    one = own[late[own]][:1]
    assert np.array_equal(shown[one], scanner(0, 0, machine=1).apply(cases.images[one]))
    assert scanner(0, 0, machine=1) != scanner(0, 0)
    splits = np.asarray(cases.splits)
    assert late[splits == "test"].mean() == pytest.approx(late[splits == "pool"].mean(), abs=0.05)
    assert [line["new_scanner"] for line in found.told()] == [False, False, True]
    assert found.write_images(tmp_path) == path  # another arm of the seed finds it


def run(out: Path) -> Path:
    content = STUDY | {"simulation": {"sites": 2, "drift": {"arriving": 0.8, "cycles": 2}}}
    plan = plan_of(parse(content), "phantom", ["random"], [0])
    simulate(plan, out, lambda task, event: None)
    return out / "random" / "seed-0"


def sizes(folder: Path) -> list[list[tuple[int, ...]]]:
    found = []
    for database in sorted(folder.rglob("site.db")):
        with closing(sqlite3.connect(database)) as connection:
            found.append(
                connection.execute("SELECT id, key, row FROM cases ORDER BY id").fetchall()
            )
    return found


@pytest.mark.slow
def test_cases_come_before_their_cycle_and_an_interrupted_run_goes_on_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(tmp_path / "whole")
    reports = json.loads((whole / "run.json").read_text())["arrivals"]
    assert [line["cycle"] for line in reports] == [0, 1, 2]
    choices = [json.loads(x) for x in (whole / "choices.jsonl").read_text().splitlines()]
    assert len({c["case"] for c in choices}) == 24
    come = Arrivals.come
    monkeypatch.setattr(Arrivals, "come", _killed_before_the_second)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "broken")
    monkeypatch.setattr(Arrivals, "come", come)
    again = run(tmp_path / "broken")
    assert sizes(again) == sizes(whole)
    for name in ("choices.jsonl", "cycles.jsonl"):
        assert (again / name).read_text() == (whole / name).read_text()
    shutil.rmtree(tmp_path / "broken")


def _killed_before_the_second(self: Arrivals, hospitals: Any, cycle: int) -> None:
    if cycle == 1:
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("drift", "said"),
    [
        ({"prevalence": [1.0, 2.0]}, r"simulation\.drift\.arriving = 0\.0: accepted is above 0"),
        ({"scanner": 1}, r"simulation\.drift\.arriving"),
        ({"arriving": 0.5, "cycles": 2, "scanner": 3}, r"at most simulation\.drift\.cycles = 2"),
        ({"arriving": 0.5, "prevalence": [1.0]}, r"simulation\.drift\.prevalence.*a list of 2"),
        ({"arriving": 0.5, "prevalence": [1.0, 0.0]}, r"simulation\.drift\.prevalence"),
        ({"arriving": 1.0}, r"simulation\.drift\.arriving"),
    ],
)
def test_drift_that_cannot_be_is_refused_in_one_sentence(drift: dict[str, Any], said: str) -> None:
    with pytest.raises(StudyError, match=said) as refused:
        parse(STUDY | {"simulation": {"drift": drift}})
    assert "\n" not in str(refused.value)
