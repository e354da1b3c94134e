"""The pages about strategies: complete, honest about what was not measured, and their code runs."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocol.study import parse
from simulations import strategy_pages as made
from simulations.benchmarks.labels.kept import NOTHING
from simulations.benchmarks.labels.results import Results
from simulations.benchmarks.labels.summary import SUMMARY, measured, summary
from simulations.documenting import DOCS
from simulations.plan import plan_of
from simulations.simulate import simulate
from simulations.strategy_pages import strategy_pages
from strategies.budget import BUDGET
from strategies.guide import BUDGET_USE, QUERY_USE
from strategies.pool import Pool
from strategies.query import QUERY

PAGES = strategy_pages(DOCS)
HEADS = ("What it does", "When to use it", "What it costs", "Arguments", "Paper", "Measured")


def test_every_row_has_its_page_and_there_is_no_page_of_a_row_that_is_gone() -> None:
    assert QUERY_USE.keys() == QUERY.keys()
    assert BUDGET_USE.keys() == BUDGET.keys()
    wanted = {p for p in PAGES if p.parent.name == "strategies"}
    assert len(wanted) == len(QUERY) + len(BUDGET)
    assert set((DOCS / "strategies").iterdir()) == wanted


@pytest.mark.parametrize("path", sorted(PAGES), ids=lambda path: path.stem)
def test_a_page_has_all_its_parts_and_whole_tables(path: Path) -> None:
    text = PAGES[path]
    if path.name != "strategies.md":
        for head in HEADS:
            _, found, after = text.partition(f"## {head}\n\n")
            assert found, head
            assert after.partition("\n## ")[0].strip(), head
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        bars = {len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}
        assert len(bars) == 1, table
    for target in re.findall(r"\]\(([^)#]+)", text):
        there = (path.parent / target).resolve()
        assert there in PAGES or there.exists(), target


def test_what_was_not_measured_is_said_so_and_what_was_stands_with_its_pairs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = {"track": "A", "title": "label skew", "cell": "selectors", "split": "test"}
    arm = {"arm": "coreset", "seeds": 20, "gain": [0.05, 0.03, 0.07]}
    arm |= {"query_seconds": 0.1, "score_seconds": 2.5}
    policy = {"strategy": "coreset", "policy": "safe", "seeds": 20, "mean": 0.001, "lower": -0.002,
              "safe": "yes", "moved": 0.1, "saved": "+20.0% (never to +30.0%)"}  # fmt: skip
    lost = policy | {"policy": "threshold", "safe": "no", "saved": None}
    varied = arm | {"arm": "feal+training.loss=evidential", "verdict": "tie"}
    known = {"arms": [line | arm | {"verdict": "win"}, line | varied]}
    known |= {"policies": [line | policy, line | lost]}
    monkeypatch.setattr(made, "measured", lambda: known)
    pages = strategy_pages(DOCS)
    measured_page = pages[DOCS / "strategies" / "query-coreset.md"]
    assert "| 20 | +0.0500 (+0.0300 to +0.0700) | win | 0.1 | 2.5 |" in measured_page
    assert pages[DOCS / "strategies" / "query-badge.md"].count("Not measured.") == 1
    assert (
        "| `coreset` | 20 | +0.0010 | -0.0020 | yes | 10.0% | +20.0% (never to +30.0%) |"
        in (pages[DOCS / "strategies" / "budget-safe.md"])
    )
    assert "| no | 10.0% | - |" in pages[DOCS / "strategies" / "budget-threshold.md"]
    assert "| `feal+training.loss=evidential` | A, " in pages[DOCS / "strategies" / "query-feal.md"]
    overview = pages[DOCS / "strategies.md"]
    assert "| safe, pairs: 20 |" in overview
    assert "| with `training.loss=evidential` tie, pairs: 20 |" in overview
    assert "| not safe, pairs: 20 |" in overview
    assert "track A (test, selectors): `coreset` +0.050." in overview
    monkeypatch.setattr(made, "measured", lambda: {"arms": [], "policies": []})
    assert "nothing that may be claimed yet" in strategy_pages(DOCS)[DOCS / "strategies.md"]


def test_the_summary_is_of_the_results_file(tmp_path: Path) -> None:
    assert summary(Results(tmp_path / "none.jsonl")) == NOTHING
    assert measured() == json.loads(SUMMARY.read_text(encoding="utf-8"))
    for line in measured()["arms"]:
        assert line["verdict"] in ("win", "tie", "lose", "exploratory")
        assert (line["seeds"] < 20) == (line["verdict"] == "exploratory")
        assert line["gain"][1] <= line["gain"][0] <= line["gain"][2]


@pytest.fixture
def ideas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The overview's own code as a module that Python finds."""
    blocks = re.findall(r"```python\n(.*?)```", PAGES[DOCS / "strategies.md"], re.DOTALL)
    assert len(blocks) == 1
    (tmp_path / "ward_ideas.py").write_text(blocks[0], encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "ward_ideas", raising=False)
    return "ward_ideas"


@pytest.mark.slow
def test_the_code_of_the_page_runs_in_a_simulation(ideas: str, tmp_path: Path) -> None:
    study: Mapping[str, Any] = {
        "schema": 1,
        "name": "own",
        "task": {
            "image": [1, 8, 8],
            "classes": [{"name": n, "definition": n} for n in ("no opacity", "opacity")],
        },
        "network": {"name": "mlp"},
        "training": {"rounds_per_cycle": 1, "min_steps": 1, "max_steps": 1},
        "budget": {"total": 24, "per_cycle": 12},
        "simulation": {"sites": 2, "split": "iid"},
    }
    arm = f"{ideas}:Novelty@{ideas}:FewestLabels"
    simulate(plan_of(parse(study), "phantom", [arm], [0]), tmp_path / "out", lambda task, e: None)
    lines = next((tmp_path / "out").rglob("cycles.jsonl")).read_text().splitlines()
    last = json.loads(lines[-1])
    assert last["readings"] == 24
    assert all("labels here so far" in reason for reason in last["reasons"].values())


def test_the_code_of_the_page_prefers_what_it_says(ideas: str) -> None:
    novelty = __import__(ideas).Novelty()
    features = np.array([[0.0], [1.0], [-1.0], [9.0]])
    pool = Pool(4, {"features": features}, multi_label=False)
    assert novelty.needs.signals == {"features"}
    assert novelty.select(pool, 1, np.random.default_rng(0)).tolist() == [3]
