"""What if: other arms of a run that was simulated, other grants of a ledger."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from protocol.study import StudyError, parse
from simulations.cli import app
from simulations.plan import PlanError, plan_of
from simulations.replay import plan_again, reallocated
from simulations.results.runs import load
from simulations.simulate import simulate

STUDY: dict[str, Any] = {
    "schema": 1,
    "name": "replayed",
    "task": {
        "image": [1, 8, 8],
        "classes": [{"name": n, "definition": n} for n in ("dark", "light")],
    },
    "network": {"name": "mlp"},
    "training": {"rounds_per_cycle": 1, "min_steps": 1, "max_steps": 1},
    "budget": {"total": 36, "first": 12, "per_cycle": 12, "policy": "uncertainty-mass"},
    "simulation": {"sites": 3, "split": "quantity"},
}


def cases(path: Path, seed: int = 0) -> None:
    """Write 120 pool, 20 val and 40 test images of 8 x 8, brighter where the label is 1."""
    rng = np.random.default_rng(seed)
    content: dict[str, Any] = {}
    for split, n in (("train", 120), ("val", 20), ("test", 40)):
        labels = np.arange(n) % 2
        images = rng.integers(0, 128, (n, 8, 8)) + 100 * labels[:, None, None]
        content |= {f"{split}_images": images.astype(np.uint8), f"{split}_labels": labels[:, None]}
    np.savez(path, **content)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with three cycles."""
    folder = tmp_path_factory.mktemp("replay")
    cases(folder / "cases.npz")
    plan = plan_of(parse(STUDY), str(folder / "cases.npz"), ["random"], [4])
    simulate(plan, folder / "out", lambda task, event: None)
    return folder / "out" / "random" / "seed-4"


@pytest.mark.slow
def test_the_policy_of_a_study_recomputed_is_what_it_granted(finished: Path) -> None:
    found = reallocated(finished / "ledger.db", "uncertainty-mass")
    assert [r.cycle for r in found] == [0] * 3 + [1] * 3 + [2] * 3
    assert [r.granted for r in found] == [r.instead for r in found]
    assert len({r.granted for r in found}) > 1


@pytest.mark.slow
def test_the_policy_of_a_study_keeps_its_arguments_when_it_is_named(tmp_path: Path) -> None:
    cases(tmp_path / "cases.npz")
    own = {**STUDY["budget"], "policy": "hours", "arguments": {"hours": 0.01}}
    plan = plan_of(parse(STUDY | {"budget": own}), str(tmp_path / "cases.npz"), ["random"], [0])
    simulate(plan, tmp_path / "out", lambda task, event: None)
    found = reallocated(tmp_path / "out" / "random" / "seed-0" / "ledger.db", "hours")
    assert [r.granted for r in found] == [r.instead for r in found]
    assert "hours" in found[-1].reason


@pytest.mark.slow
def test_another_policy_shares_the_same_budget_otherwise(finished: Path) -> None:
    found = reallocated(finished / "ledger.db", "uniform")
    assert all(r.instead == 4 for r in found)
    assert sum(r.granted for r in found) == sum(r.instead for r in found) == 36
    assert any(r.granted != r.instead for r in found)
    assert all(r.reason for r in found)
    half = reallocated(finished / "ledger.db", "safe", ["reach=0.0"])
    assert [r.instead for r in half] == [r.instead for r in found]


def test_a_ledger_is_only_read(finished: Path) -> None:
    before = (finished / "ledger.db").read_bytes()
    reallocated(finished / "ledger.db", "proportional")
    assert (finished / "ledger.db").read_bytes() == before
    with pytest.raises(StudyError, match=r"budget\.policy = 'fair'"):
        reallocated(finished / "ledger.db", "fair")
    with pytest.raises(StudyError, match="names site 'site-9'; accepted are site-01, site-02"):
        reallocated(finished / "ledger.db", "hours", ['site_hours=[["site-9",1.0]]'])
    with pytest.raises(FileNotFoundError):
        reallocated(finished / "none.db", "uniform")


@pytest.mark.slow
def test_the_plan_keeps_what_it_had_and_nobody_misses_what_nobody_asked_for(
    finished: Path, tmp_path: Path
) -> None:
    source = str(finished.parents[2] / "cases.npz")
    small = STUDY | {"budget": {"total": 12, "per_cycle": 12}}
    out = tmp_path / "out"
    simulate(plan_of(parse(small), source, ["random", "coreset"], [0, 1]), out, lambda *_: None)
    run = out / "random" / "seed-0"
    done = CliRunner().invoke(app, ["replay", str(run), "--arms", "entropy", "--format", "json"])
    assert done.exit_code == 0, done.output
    plan = json.loads((out / "plan.json").read_text())
    assert (plan["arms"], plan["seeds"]) == (["random", "coreset", "entropy"], [0, 1])
    runs = load([out])
    assert runs.warnings == ()
    found = [(r.arm, r.seed) for r in runs.runs]
    assert found == [("random", 0), ("random", 1), ("coreset", 0), ("coreset", 1), ("entropy", 0)]
    (out / "coreset" / "seed-1" / "run.json").unlink()
    assert [w for w in load([out]).warnings if "not begun" in w] == [
        "out: arm coreset, seed 1 was not begun and is left out"
    ]


def test_a_database_that_is_no_ledger_is_refused_as_what_it_is(
    finished: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty.db").write_bytes(b"")
    with sqlite3.connect(tmp_path / "else.db") as other:
        other.execute("CREATE TABLE notes (text TEXT)")
    for path, kind in (
        (finished / "sites" / "site-01" / "site.db", "a site's database"),
        (tmp_path / "else.db", "another database"),
        (tmp_path / "empty.db", "an empty file"),
    ):
        done = CliRunner().invoke(app, ["replay", str(path), "--policy", "safe"])
        assert isinstance(done.exception, PlanError)
        assert str(done.exception).startswith(f"{path}: {kind} and no ledger; accepted is the")
    assert (tmp_path / "empty.db").read_bytes() == b""


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (("none.db", "--policy", "uniform"), "none.db: no ledger; accepted is the ledger.db of a"),
        (("torn.db", "--policy", "uniform"), "torn.db: no ledger (file is not a database); acc"),
        (("torn.db", "--policy", "safe", "--arms", "random"), "a ledger with --arms; accepted wi"),
        (("torn.db", "--policy", "safe", "--data", "x.npz"), "a ledger with --data; accepted wi"),
        (
            (".", "--arms", "random", "--policy", "safe", "--set", "reach=0.1"),
            "a run with --policy and --set; accepted with a run is --arms, such as coreset@safe",
        ),
    ],
)
def test_what_replay_has_no_use_for_is_refused_in_a_sentence(
    given: tuple[str, ...], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("torn.db").write_text("no database, but as long as a header of one: " + "x" * 99)
    done = CliRunner().invoke(app, ["replay", *given])
    assert done.exit_code != 0
    assert isinstance(done.exception, ValueError)
    assert str(done.exception).startswith(sentence)


@pytest.mark.slow
def test_a_run_is_run_again_as_other_arms_and_stays_what_it_was(finished: Path) -> None:
    before = (finished / "cycles.jsonl").read_bytes()
    arms = "coreset@uniform,random+budget.total=24"
    done = CliRunner().invoke(app, ["replay", str(finished), "--arms", arms, "--format", "json"])
    assert done.exit_code == 0, done.output
    assert (finished / "cycles.jsonl").read_bytes() == before
    out = finished.parents[1]
    other = out / "coreset@uniform" / "seed-4"
    first = [
        json.loads(run.joinpath("cycles.jsonl").read_text().splitlines()[0])
        for run in (finished, other)
    ]
    assert first[0]["metrics"] == first[1]["metrics"]  # the same first weights, sites and tests
    account = [json.loads((run / "run.json").read_text()) for run in (finished, other)]
    assert account[0]["data"] == account[1]["data"]
    assert account[0]["weights"] == account[1]["weights"]
    smaller = out / "random+budget.total=24" / "seed-4" / "cycles.jsonl"
    assert json.loads(smaller.read_text().splitlines()[-1])["readings"] == 24


def test_what_is_no_run_is_refused(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="no run; accepted is a folder OUT/ARM/seed-N"):
        plan_again(tmp_path, ["entropy"])
    with pytest.raises(StudyError, match="nobody"):
        plan_again(finished, ["nobody"])
    for arguments in ([str(finished)], [str(finished / "ledger.db")]):
        assert CliRunner().invoke(app, ["replay", *arguments]).exit_code != 0
    plan = plan_again(finished, ["entropy"], source="elsewhere.npz")
    assert (plan.arms, plan.seeds, plan.opened) == (("random", "entropy"), (4,), "elsewhere.npz")


def test_cases_that_have_moved_are_opened_where_they_are_and_only_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "there"
    folder.mkdir()
    monkeypatch.chdir(folder)
    cases(folder / "cases.npz")
    small = STUDY | {"budget": {"total": 12, "per_cycle": 12}}
    simulate(plan_of(parse(small), "cases.npz", ["random"], [0]), Path("out"), lambda *_: None)
    monkeypatch.chdir(tmp_path)
    run, asked = folder / "out" / "random" / "seed-0", ["--format", "json", "--arms"]
    without = CliRunner().invoke(app, ["replay", str(run), *asked, "coreset"])
    assert str(without.exception).endswith("accepted is --data with their place now")
    (folder / "cases.npz").rename(tmp_path / "moved.npz")
    moved = str((tmp_path / "moved.npz").resolve())
    done = CliRunner().invoke(app, ["replay", str(run), "--data", moved, *asked, "coreset"])
    assert done.exit_code == 0, done.output
    plan = json.loads((folder / "out" / "plan.json").read_text())
    assert (plan["source"], plan["arms"]) == ("cases.npz", ["random", "coreset"])
    assert "moved" not in plan
    cases(tmp_path / "changed.npz", seed=1)
    changed = ["replay", str(run), "--data", "changed.npz", *asked, "entropy"]
    refused = CliRunner().invoke(app, changed)
    assert isinstance(refused.exception, PlanError)
    assert "other data" in str(refused.exception)
    assert json.loads((folder / "out" / "plan.json").read_text()) == plan
