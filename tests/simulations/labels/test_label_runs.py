from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulations.benchmarks.labels import __main__ as command
from simulations.benchmarks.labels.kept import committed, runs_of
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
def test_the_command_prints_its_table_and_refuses_the_test_split(
    small: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, page = tmp_path / "results.jsonl", tmp_path / "page.md"
    common = ["--track", "D", "--file", small, "--cell", "small", "--results", str(path)]
    refused = [*common, "--arms", "random", "--seeds", "5", "--split", "test"]
    assert command.main(refused) == 2
    assert "seed 5 on the test split" in capsys.readouterr().err
    assert not path.exists()
    confirming = [*common, "--arms", "random", "--seeds", "100", "--split", "test"]
    assert command.main([*confirming, "--scratch", str(tmp_path / "not" / "there")]) == 0
    events = [x["event"] for x in Results(path).of("confirmation")]
    assert events == ["begun", "ended"]
    assert "| `random` | 1 |" in capsys.readouterr().out
    assert command.main(confirming) == 0  # nothing is left to run
    assert len(Results(path).of("confirmation")) == 2
    assert not page.exists()
    assert command.main(["--page", "--results", str(path)]) == 0
    assert "## Confirmation: the test split" in page.read_text()
    assert "Written from 1 runs of 1 seed." in page.read_text()
    assert command.main([*common, "--arms", "nobody", "--seeds", "0"]) == 2
    assert command.main([*common, "--arms", "random", "--seeds", "x"]) == 2


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], list[str]]:
    """What stands in the command's two committed files, which lie elsewhere here."""
    files = [tmp_path / "page.md", tmp_path / "measured.json"]
    monkeypatch.setattr(command, "PAGE", files[0])
    monkeypatch.setattr(command, "SUMMARY", files[1])
    return lambda: [file.read_text() for file in files if file.exists()]


def test_no_arm_is_no_run_and_no_page(
    pages: Callable[[], list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    none = str(tmp_path / "none.jsonl")
    assert command.main(["--arms", ",", "--results", none]) == 2
    assert "no runs are asked for" in capsys.readouterr().err
    assert command.main(["--page", "--results", none]) == 2
    assert "page.md stays as it is: none.jsonl has 0 runs" in capsys.readouterr().err
    assert pages() == []


def test_a_table_is_written_when_it_is_asked_for_and_never_from_less(
    pages: Callable[[], list[str]],
    tmp_path: Path,
    line: Callable[..., dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("simulations.benchmarks.labels.work.unknown", lambda *a, **k: [])
    many, few = (Results(tmp_path / f"{name}.jsonl") for name in ("many", "few"))
    told = {"track": "A", "cell": "selectors", "seeds": "100-119", "arms": ["random"]}
    many.add({"kind": "confirmation", "event": "begun", "when": "2026-01-02", "failed": 0, **told})
    few.add({"kind": "confirmation", "event": "begun", "when": "2026-01-01", "failed": 0, **told})
    for seed in (0, 1, 2):
        many.add(line("random", seed, (0.6, 0.7, 0.8)))
        many.add(line("coreset", seed, (0.6, 0.8, 0.8)))
    asked = ["--arms", "random", "--results", str(many.path)]
    assert command.main(asked) == 0
    assert "| `random` | 3 |" in capsys.readouterr().out
    assert pages() == []
    assert command.main(["--page", "--results", str(many.path)]) == 0
    page, measured = pages()
    assert [runs_of(table) for table in committed(page).tables.values()] == [6]

    few.add(line("random", 0, (0.1, 0.1, 0.1)))  # of the same table, and of another one
    few.add(line("random", 0, (0.2, 0.2, 0.3), track="C", key="of C"))
    few.add(line("coreset", 0, (0.2, 0.3, 0.3), track="C", key="of C, too"))
    assert command.main(["--page", "--results", str(few.path)]) == 0
    both, told_both = pages()
    old, new = committed(page), committed(both)
    assert new.tables["val", "A", "selectors"] == old.tables["val", "A", "selectors"]
    assert runs_of(new.tables["val", "C", "selectors"]) == 2
    assert [when[2:12] for when in new.lists["Confirmations"]] == ["2026-01-01", "2026-01-02"]
    arms = {line["track"]: line for line in json.loads(told_both)["arms"]}
    assert [arms["A"]] == json.loads(measured)["arms"]
    assert arms["C"]["seeds"] == 1

    assert command.main(["--page", "--results", str(few.path)]) == 0
    assert pages() == [both, told_both]  # once more changes nothing
    for seed in (1, 2, 3, 4, 5):
        few.add(line("random", seed, (0.1, 0.1, 0.1)))
    assert command.main(["--page", "--results", str(few.path)]) == 0
    assert "| `random` | 6 | 0.1000" in pages()[0]  # as many runs: the newer ones count


def test_confirmations_are_written_down_where_something_runs_and_only_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = Results(tmp_path / "results.jsonl")
    asked = ["--arms", "random,ward", "--seeds", "100-102", "--split", "test"]
    monkeypatch.setattr(command, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr("simulations.benchmarks.labels.work.unknown", lambda *a, **k: [])
    assert command.main([*asked, "--results", str(results.path)]) == 0
    assert list(results.lines()) == []
    monkeypatch.setattr("simulations.benchmarks.labels.work.unknown", lambda jobs, *a, **k: jobs)
    monkeypatch.setattr("simulations.benchmarks.labels.work.work", lambda *a: 0)
    assert command.main([*asked, "--results", str(results.path)]) == 0
    begun, ended = results.of("confirmation")
    assert (begun["event"], ended["event"]) == ("begun", "ended")
    assert (begun["seeds"], begun["arms"]) == ("100-102", ["random", "ward"])
    assert (begun["track"], begun["cell"]) == ("A", "selectors")
