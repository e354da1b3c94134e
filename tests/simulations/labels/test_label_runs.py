from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulations.benchmarks.labels import __main__ as command
from simulations.benchmarks.labels.one import Job
from simulations.benchmarks.labels.recipe import ABOUT, CELLS
from simulations.benchmarks.labels.results import Results
from simulations.benchmarks.labels.work import unknown, work

SMALL = (
    "training.rounds_per_cycle=1",
    "training.min_steps=1",
    "training.max_steps=1",
    "budget.total=8",
    "budget.first=4",
    "budget.per_cycle=4",
    "simulation.sites=2",
)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A file with two easy classes, and a cell of two cycles of one round."""
    monkeypatch.setattr(command, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(command, "SUMMARY", tmp_path / "measured.json")
    monkeypatch.setattr(command, "ROOT", tmp_path)
    monkeypatch.setattr("simulations.benchmarks.labels.recipe.CELLS", {**CELLS, "small": SMALL})
    monkeypatch.setattr("simulations.benchmarks.labels.page.CELLS", {**CELLS, "small": SMALL})
    monkeypatch.setattr(command, "CELLS", {**CELLS, "small": SMALL})
    monkeypatch.setattr(
        "simulations.benchmarks.labels.page.ABOUT", {**ABOUT, "small": "for a test"}
    )
    rng = np.random.default_rng(0)
    content: dict[str, Any] = {}
    for split, n in (("train", 240), ("val", 120), ("test", 120)):
        labels = np.arange(n) % 2
        images = rng.integers(0, 128, (n, 8, 8)) + 100 * labels[:, None, None]
        content |= {f"{split}_images": images.astype(np.uint8), f"{split}_labels": labels[:, None]}
    np.savez(tmp_path / "easy.npz", **content)
    return str(tmp_path / "easy.npz")


def jobs_of(file: str, *arms: str) -> list[Job]:
    return [Job("D", "small", "val", arm, 0, file) for arm in arms]


@pytest.mark.slow
def test_runs_are_cached_begin_alike_and_are_the_same_when_run_again(
    small: str, tmp_path: Path
) -> None:
    results = Results(tmp_path / "results.jsonl")
    jobs = jobs_of(small, "random", "coreset", "random+training.loss=focal")
    assert work(jobs[:1], results) == 0
    assert unknown(jobs, results) == jobs[1:]  # what was ended early goes on where it was
    assert work(unknown(jobs, results), results) == 0
    assert unknown(jobs, results) == []
    first, second, third = results.runs()
    assert first["cycles"][:2] == second["cycles"][:2]
    assert third["cycles"][0] == first["cycles"][0]
    assert first["choices"] != second["choices"]
    assert first["cycles"][-1]["readings"] == first["looks"]["reading"] == 8
    assert {sum(n) for n in first["cycles"][-1]["labels"].values()} == {4}
    assert first["bytes_up"]["train"] > 0
    assert work(jobs[:1], results) == 0
    again = results.of("run")[-1]
    assert [again[k] for k in ("cycles", "choices")] == [first[k] for k in ("cycles", "choices")]


@pytest.mark.slow
def test_two_workers_find_what_one_does(small: str, tmp_path: Path) -> None:
    alone, both = (Results(tmp_path / f"{n}.jsonl") for n in ("alone", "both"))
    jobs = jobs_of(small, "random", "entropy")
    work(jobs, alone)
    work(jobs, both, workers=2)

    def told(results: Results) -> dict[str, Any]:
        return {x["arm"]: [x["key"], x["cycles"], x["choices"]] for x in results.runs()}

    assert told(alone) == told(both)
    assert len(told(alone)) == 2


@pytest.mark.slow
def test_other_code_is_run_again_unless_older_runs_will_do(
    small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = Results(tmp_path / "results.jsonl")
    jobs = jobs_of(small, "random")
    work(jobs, results)
    monkeypatch.setattr("simulations.benchmarks.labels.one.version", lambda study: "another")
    assert unknown(jobs, results) == jobs
    assert unknown(jobs, results, older=True) == []


@pytest.mark.slow
def test_what_fails_is_written_down_and_the_others_go_on(small: str, tmp_path: Path) -> None:
    results = Results(tmp_path / "results.jsonl")
    jobs = [Job("D", "small", "val", "nobody", 0, small), *jobs_of(small, "random")]
    assert work(jobs, results) == 1
    assert [x["arm"] for x in results.of("failed")] == ["nobody"]
    assert [x["arm"] for x in results.of("run")] == ["random"]


@pytest.mark.slow
def test_the_command_writes_its_page_and_refuses_the_test_split(
    small: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "results.jsonl"
    common = ["--track", "D", "--file", small, "--cell", "small", "--results", str(path)]
    refused = [*common, "--arms", "random", "--seeds", "5", "--split", "test"]
    assert command.main(refused) == 2
    assert "seed 5 on the test split" in capsys.readouterr().err
    assert not path.exists()
    assert command.main([*common, "--arms", "random", "--seeds", "100", "--split", "test"]) == 0
    events = [x["event"] for x in Results(path).of("confirmation")]
    assert events == ["begun", "ended"]
    assert "## Confirmation: the test split" in (tmp_path / "page.md").read_text()
    assert command.main([*common, "--arms", "nobody", "--seeds", "0"]) == 2
    assert command.main([*common, "--arms", "random", "--seeds", "x"]) == 2
