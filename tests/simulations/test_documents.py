"""Folders of other versions, and damaged ones: one sentence names the file, nothing is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocol.study import parse
from simulations.documents import NotARun
from simulations.plan import Plan, Task, plan_of
from simulations.replay import plan_again
from simulations.results.runs import load
from simulations.simulate import simulate

STUDY: dict[str, Any] = {
    "schema": 1,
    "name": "kept",
    "task": {"image": [1, 8, 8], "classes": [{"name": n, "definition": n} for n in ("a", "b")]},
    "network": {"name": "mlp"},
    "training": {"rounds_per_cycle": 1, "min_steps": 1, "max_steps": 1},
    "budget": {"total": 8, "per_cycle": 8},
    "simulation": {"sites": 2},
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a simulation of one run, its cases beside it."""
    folder = tmp_path_factory.mktemp("kept")
    rng = np.random.default_rng(0)
    content: dict[str, Any] = {}
    for split, n in (("train", 40), ("val", 4), ("test", 20)):
        content[f"{split}_images"] = rng.integers(0, 255, (n, 8, 8)).astype(np.uint8)
        content[f"{split}_labels"] = (np.arange(n) % 2)[:, None]
    np.savez(folder / "cases.npz", **content)
    simulate(plan(folder), folder / "out", lambda *_: None)
    return folder / "out"


def plan(folder: Path, *arms: str) -> Plan:
    """The plan of one random run, and of these arms."""
    return plan_of(parse(STUDY), str(folder / "cases.npz"), ["random", *arms], [0])


RUN = "random/seed-0/run.json"
EVERYWHERE: dict[str, tuple[Callable[[Any], Any], str]] = {
    "another schema": (lambda c: c | {"schema": 9}, "has schema = 9: accepted is 1"),
    "no schema": (lambda c: {k: v for k, v in c.items() if k != "schema"}, "has schema = None"),
    "schema true": (lambda c: c | {"schema": True}, "has schema = True"),
    "a list": (lambda c: [], "holds no JSON object"),
    "nothing else": (lambda c: {"schema": 1}, "field required"),
}


DAMAGES = [
    *product(["plan.json", "simulation.json", RUN], [*EVERYWHERE, "cut short", "another type"]),
    ("plan.json", "one more key"),  # of the others more is written than is read
]


@pytest.mark.parametrize(("name", "damage"), DAMAGES)
def test_what_is_damaged_or_of_another_version_is_one_sentence_for_every_command(
    name: str, damage: str, finished: Path
) -> None:
    path = finished / name
    whole = path.read_text()
    content = json.loads(whole)
    wrong, says = EVERYWHERE.get(damage, (lambda c: c, "cannot be read ("))
    text = json.dumps(wrong(content))
    if damage == "cut short":
        text = whole[: len(whole) // 2]
    elif damage == "one more key":
        text, says = json.dumps(content | {"mood": 1}), "mood is no key"
    elif damage == "another type":
        key = {"plan.json": "arms", "simulation.json": "sites", RUN: "seed"}[name]
        text, says = json.dumps(content | {key: {"x": 1}}), f"{key}: "
    others = {p: p.read_bytes() for p in sorted(finished.rglob("*.json"))} | {path: text.encode()}
    try:
        path.write_text(text)
        asked: list[Callable[[], object]] = []
        if name != "simulation.json":
            asked.append(lambda: plan_again(finished / "random" / "seed-0", ["coreset"]))
        if name != "plan.json":
            asked.append(lambda: load([finished]))
        asked.append(lambda: simulate(plan(finished.parent, "coreset"), finished, lambda *_: None))
        for ask in asked:
            with pytest.raises(NotARun) as refused:
                ask()
            assert says in str(refused.value)
            assert str(refused.value).startswith(str(path.parent))
            assert damage == "another type" or str(refused.value).startswith(str(path))
            assert "\n" not in str(refused.value)
        assert {p: p.read_bytes() for p in sorted(finished.rglob("*.json"))} == others
    finally:
        path.write_text(whole)


def test_what_this_version_wrote_is_read_back(finished: Path) -> None:
    kept = plan(finished.parent)
    assert Plan.load(finished) == kept
    assert Task(finished, "random", 0).finished()
    before = (finished / "plan.json").read_text()
    simulate(kept, finished, lambda *_: None)
    assert (finished / "plan.json").read_text() == before
    again = plan_again(finished / "random" / "seed-0", ["coreset"])
    assert (again.arms, again.study) == (("random", "coreset"), kept.study)
