"""Cases that are harder than others, and readers who prefer a class."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocol.rehearsal import Readers
from protocol.sections import ClassName, Task
from protocol.study import StudyError, parse
from simulations.leanings import before_a_case, difficulty, is_biased, leaning
from simulations.plan import plan_of
from simulations.readers import Answered, SimulatedReader
from simulations.simulate import simulate

CLASSES = tuple(ClassName(name=n, definition="d") for n in ("a", "b", "c"))
STUDY: dict[str, Any] = {
    "schema": 1,
    "name": "hard",
    "task": {
        "image": [1, 8, 8],
        "classes": [{"name": n, "definition": n} for n in ("no opacity", "opacity")],
    },
    "network": {"name": "mlp"},
    "training": {"rounds_per_cycle": 1, "min_steps": 1, "max_steps": 1},
    "budget": {"total": 40, "per_cycle": 40},
    "simulation": {"sites": 2, "split": "iid"},
}


def test_a_case_twice_as_hard_takes_twice_as_long_and_doubles_the_odds() -> None:
    usual = SimulatedReader(error=(0.2, 0.5), seconds=30.0)
    hard = before_a_case(usual, 2.0)
    assert hard.seconds == 60.0
    assert hard.error == pytest.approx((1 / 3, 2 / 3))  # odds 1:4 become 1:2, 1:1 become 2:1
    assert before_a_case(usual, 1.0) is usual
    assert before_a_case(SimulatedReader(error=(0.0, 1.0)), 3.0).error == (0.0, 1.0)


@pytest.mark.slow
def test_difficulty_has_mean_1_and_the_spread_that_is_asked_for() -> None:
    study = parse(STUDY, ["simulation.readers.difficulty=0.6"])
    found = np.array([difficulty(study, site, case) for site in (0, 1) for case in range(4000)])
    assert found.mean() == pytest.approx(1.0, abs=0.03)
    assert np.log(found).std() == pytest.approx(0.6, abs=0.02)
    assert difficulty(study, 1, 7) == found[4007]
    assert difficulty(parse(STUDY), 1, 7) == 1.0


def test_the_last_readers_are_the_biased_ones() -> None:
    readers = Readers(per_site=3, biased=1, prefers="a")
    assert [is_biased(readers, n, 3) for n in (1, 2, 3)] == [False, False, True]
    assert not is_biased(Readers(), 2, 2)


@pytest.mark.parametrize(("kind", "expected"), [("single-label", 0), ("multi-label", 1)])
def test_a_leaning_reader_says_the_preferred_class_as_often_as_asked(
    kind: Any, expected: int
) -> None:
    task = Task(kind=kind, classes=CLASSES)
    readers = Readers(biased=1, prefers="c", bias=0.25)
    rng = np.random.default_rng(0)
    said = Answered("answered", (1, 0, 0), 9.0)
    values = np.array([leaning(said, readers, task, rng).value for _ in range(4000)])
    assert values[:, 2].mean() == pytest.approx(0.25, abs=0.02)
    assert (values[values[:, 2] == 1][:, 0] == expected).all()
    assert (values[values[:, 2] == 0] == said.value).all()


def test_who_does_not_answer_has_no_leaning_and_takes_as_many_random_numbers() -> None:
    task, readers = Task(classes=CLASSES), Readers(biased=1, prefers="c", bias=1.0)
    one, other = np.random.default_rng(0), np.random.default_rng(0)
    unsure = Answered("unsure", (), 9.0)
    assert leaning(unsure, readers, task, one) is unsure
    leaning(Answered("answered", (1, 0, 0), 9.0), readers, task, other)
    assert one.random() == other.random()


def last(out: Path, **readers: Any) -> dict[str, Any]:
    content = STUDY | {"simulation": STUDY["simulation"] | {"readers": readers}}
    simulate(plan_of(parse(content), "phantom", ["random"], [0]), out, lambda task, event: None)
    lines = (out / "random" / "seed-0" / "cycles.jsonl").read_text().splitlines()
    found: dict[str, Any] = json.loads(lines[-1])
    return found


@pytest.mark.slow
def test_in_a_run_bias_moves_the_labels_and_difficulty_the_minutes(tmp_path: Path) -> None:
    plain = last(tmp_path / "plain", spread=0.0)
    biased = last(tmp_path / "bias", spread=0.0, biased=2, prefers="opacity", bias=1.0)
    hard = last(tmp_path / "hard", spread=0.0, difficulty=0.8)
    assert all(counts[0] > 0 for counts in plain["labels"].values())
    assert all(counts[0] == 0 for counts in biased["labels"].values())
    assert plain["minutes"] == pytest.approx(40 * 20 / 60)
    assert hard["minutes"] != pytest.approx(plain["minutes"], rel=0.01)
    assert hard["labels"] == plain["labels"]  # who never errs does not on a hard case


@pytest.mark.parametrize(
    ("readers", "said"),
    [
        ({"bias": 0.5}, r"simulation\.readers\.biased = 0: accepted is at least 1 where"),
        ({"prefers": "opacity"}, r"simulation\.readers\.biased = 0: accepted is at least 1 where"),
        ({"biased": 1}, r"simulation\.readers\.prefers = '': accepted is one of no opacity, opac"),
        ({"biased": 1, "prefers": "x"}, r"simulation\.readers\.prefers = 'x'"),
        ({"biased": 3, "prefers": "opacity"}, r"at most simulation\.readers\.per_site = 2"),
        ({"difficulty": 3.0}, r"simulation\.readers\.difficulty"),
        ({"bias": 1.5}, r"simulation\.readers\.bias"),
    ],
)
def test_readers_that_cannot_be_are_refused(readers: dict[str, Any], said: str) -> None:
    with pytest.raises(StudyError, match=said):
        parse(STUDY | {"simulation": {"readers": readers}})
