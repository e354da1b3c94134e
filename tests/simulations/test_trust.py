"""What would make a comparison wrong without a word: late labels, unpaired noise, other data."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocol.study import Study, parse
from server.events import Event
from simulations.lost import refuse_lost_sites
from simulations.plan import PlanError, Task, plan_of
from simulations.simulate import simulate

pytestmark = pytest.mark.slow

STUDY: dict[str, Any] = {
    "schema": 1,
    "name": "trust",
    "task": {
        "image": [1, 12, 12],
        "classes": [{"name": n, "definition": n} for n in ("clear", "dense")],
    },
    "network": {"name": "tiny-cnn"},
    "training": {"rounds_per_cycle": 1, "min_steps": 1, "max_steps": 1},
    "budget": {"total": 48, "first": 12, "per_cycle": 12},
    "simulation": {"sites": 2},
}


def study(**readers: Any) -> Study:
    """The study with readers of that kind."""
    return parse(STUDY | {"simulation": {"sites": 2, "readers": readers}})


def data(path: Path, seed: int = 3) -> str:
    """A file of 90 pool, 4 val and 20 test images of noise."""
    rng = np.random.default_rng(seed)
    content: dict[str, Any] = {}
    for split, n in (("train", 90), ("val", 4), ("test", 20)):
        content[f"{split}_images"] = rng.integers(0, 255, (n, 12, 12)).astype(np.uint8)
        content[f"{split}_labels"] = rng.integers(0, 2, (n, 1))
    np.savez(path, **content)
    return str(path)


class Stopped(Exception):
    """A run that the test ends."""


@pytest.mark.parametrize("cycle", [1, 3])
def test_a_continued_run_tells_past_labels_as_they_were(cycle: int, tmp_path: Path) -> None:
    plan = plan_of(study(), data(tmp_path / "a.npz"), ["random"], [0])

    def stop(task: Task, event: Event) -> None:
        if event.step == "train" and event.cycle == cycle:
            raise Stopped

    simulate(plan, tmp_path / "whole", lambda task, event: None)
    with pytest.raises(Stopped):
        simulate(plan, tmp_path / "broken", stop)
    simulate(plan, tmp_path / "broken", lambda task, event: None)
    run = Path("random") / "seed-0" / "cycles.jsonl"
    whole = (tmp_path / "whole" / run).read_text()
    assert (tmp_path / "broken" / run).read_text() == whole
    labels = [json.loads(line)["labels"] for line in whole.splitlines()]
    counts = [sum(sum(by_class) for by_class in told.values()) for told in labels]
    assert counts[0] == 0
    assert counts == sorted(set(counts))  # more in every cycle


def answers(run: Path) -> Iterator[tuple[tuple[str, int, int], tuple[str, str, float]]]:
    """What was said to each case at each turn of a run, and in how many seconds."""
    for home in sorted((run / "sites").iterdir()):
        turn: dict[int, int] = {}
        rows = sqlite3.connect(home / "site.db").execute(
            'SELECT "case", answer, value, seconds FROM readings ORDER BY id'
        )
        for case, *said in rows.fetchall():
            turn[case] = turn.get(case, 0) + 1
            yield (home.name, case, turn[case]), (said[0], said[1], said[2])


def test_what_readers_say_of_a_case_does_not_depend_on_the_arm(tmp_path: Path) -> None:
    noisy = study(per_site=3, error=0.3, unsure=0.2, spread=1.0)
    plan = plan_of(noisy, data(tmp_path / "a.npz"), ["random", "coreset"], [0])
    simulate(plan, tmp_path / "out", lambda task, event: None)
    one, other = (dict(answers(tmp_path / "out" / arm / "seed-0")) for arm in plan.arms)
    assert one != other
    shared = one.keys() & other.keys()
    assert len(shared) > 20
    assert len({answer for answer, _, _ in one.values()}) > 1
    assert {key: one[key] for key in shared} == {key: other[key] for key in shared}


def test_a_file_replaced_by_its_namesake_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    plan = plan_of(study(), data(file), ["random"], [0])
    simulate(plan, tmp_path / "out", lambda task, event: None)
    before = {p: p.read_bytes() for p in sorted((tmp_path / "out").glob("*.json"))}
    more = plan_of(study(), data(file, seed=4), ["random"], [0, 1])
    with pytest.raises(PlanError, match="other data"):
        simulate(more, tmp_path / "out", lambda task, event: None)
    assert {p: p.read_bytes() for p in sorted((tmp_path / "out").glob("*.json"))} == before


def test_a_ledger_that_was_just_being_made_counts_nothing(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"")
    refuse_lost_sites(tmp_path, study(), ["site-01"])


@pytest.mark.parametrize("lost", ["sites", "sites/site-02"])
def test_a_run_whose_sites_are_lost_is_not_gone_on_with(lost: str, tmp_path: Path) -> None:
    plan = plan_of(study(), data(tmp_path / "a.npz"), ["random"], [0])

    def stop(task: Task, event: Event) -> None:
        if event.step == "train" and event.cycle == 1:
            raise Stopped

    with pytest.raises(Stopped):
        simulate(plan, tmp_path / "out", stop)
    run = tmp_path / "out" / "random" / "seed-0"
    (run / lost).rename(tmp_path / "elsewhere")
    for _ in range(2):  # the first refusal leaves no home that would pass for one
        with pytest.raises(PlanError, match=r"site-0\d has lost what the ledger counts of cycle 1"):
            simulate(plan, tmp_path / "out", lambda task, event: None)
        assert not (run / "sites" / "site-02" / "site.db").exists()
    shutil.rmtree(run / lost, ignore_errors=True)
    (tmp_path / "elsewhere").rename(run / lost)
    simulate(plan, tmp_path / "out", lambda task, event: None)
    assert json.loads((run / "run.json").read_text())["finished"]
