"""What if: other arms of a run that was simulated, other grants of a ledger."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from protocol.study import StudyError, parse
from simulations.cli import app
from simulations.plan import PlanError, plan_of
from simulations.replay import plan_again, reallocated
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


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with three cycles."""
    folder = tmp_path_factory.mktemp("replay")
    rng = np.random.default_rng(0)
    content: dict[str, Any] = {}
    for split, n in (("train", 120), ("val", 20), ("test", 40)):
        labels = np.arange(n) % 2
        images = rng.integers(0, 128, (n, 8, 8)) + 100 * labels[:, None, None]
        content |= {f"{split}_images": images.astype(np.uint8), f"{split}_labels": labels[:, None]}
    np.savez(folder / "cases.npz", **content)
    plan = plan_of(parse(STUDY), str(folder / "cases.npz"), ["random"], [4])
    simulate(plan, folder / "out", lambda task, event: None)
    return folder / "out" / "random" / "seed-4"


@pytest.mark.slow
def test_the_policy_of_a_study_recomputed_is_what_it_granted(finished: Path) -> None:
    found = reallocated(finished / "ledger.db", "uncertainty-mass")
    assert [r.cycle for r in found] == [0] * 3 + [1] * 3 + [2] * 3
    assert [r.granted for r in found] == [r.instead for r in found]
    assert len({r.granted for r in found}) > 1


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
    with pytest.raises(FileNotFoundError):
        reallocated(finished / "none.db", "uniform")


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
    assert (plan.arms, plan.seeds, plan.source) == (("random", "entropy"), (4,), "elsewhere.npz")
