"""Whole simulations on small random images: same bits, sums, pairing, and who saw which truth."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocol.study import Study, StudyError
from simulations.plan import Plan, PlanError, plan_of

MakeStudy = Callable[..., Study]
Simulate = Callable[[Plan, Path], Path]
Lines = Callable[..., list[dict[str, Any]]]


def bits(folder: Path) -> dict[str, bytes]:
    """Everything of a run that must not depend on how it was computed."""
    kept = sorted([*folder.glob("models/*.safetensors"), *folder.glob("*.jsonl")])
    return {path.name: path.read_bytes() for path in kept}


@pytest.fixture(scope="session")
def reference(
    small_npz: Path, tmp_path_factory: pytest.TempPathFactory, study: MakeStudy, run: Simulate
) -> Path:
    """Three arms, two seeds, one worker."""
    plan = plan_of(study(), str(small_npz), ["coreset", "random", "full"], [0, 1])
    return run(plan, tmp_path_factory.mktemp("reference") / "out")


@pytest.mark.slow
def test_budget_adds_up_in_every_cycle(reference: Path, lines: Lines) -> None:
    for arm in ("coreset", "random"):
        spent = 0
        for line in lines(reference / arm / "seed-0")[1:]:
            assert sum(line["granted"].values()) == 12
            for site, count in line["granted"].items():
                assert count == line["spent"][site] + line["returned"][site]
            spent += sum(line["spent"].values())
            assert line["readings"] == spent == line["training_readings"] + line["audit_readings"]
        assert spent == 36


@pytest.mark.slow
def test_arms_of_a_seed_begin_alike(reference: Path, lines: Lines) -> None:
    for seed in (0, 1):
        accounts = {a: lines(reference / a / f"seed-{seed}") for a in ("coreset", "random", "full")}
        starts = [account[0]["metrics"] for account in accounts.values()]
        assert starts[0] == starts[1] == starts[2]
        assert accounts["coreset"][1]["metrics"] == accounts["random"][1]["metrics"]
        assert accounts["coreset"][2]["labels"] != accounts["coreset"][1]["labels"]
    assert lines(reference / "random" / "seed-0")[0] != lines(reference / "random" / "seed-1")[0]


@pytest.mark.slow
def test_every_look_at_a_truth_is_counted(reference: Path) -> None:
    for arm, readings in (("coreset", 36), ("random", 36), ("full", 0)):
        account = json.loads((reference / arm / "seed-0" / "run.json").read_text())
        assert account["looks"]["reading"] == readings
        assert account["looks"]["locked"] == 60
        assert account["looks"]["bound"] == (150 if arm == "full" else 0)
        assert account["finished"]


@pytest.mark.slow
def test_full_arm_reads_everything_in_one_cycle(reference: Path, lines: Lines) -> None:
    account = lines(reference / "full" / "seed-0")
    assert [line["cycle"] for line in account] == [-1, 0]
    assert account[1]["readings"] == 150
    assert sum(sum(c) for c in account[1]["labels"].values()) == account[1]["training_readings"]


@pytest.mark.slow
def test_no_patient_is_in_two_splits(reference: Path) -> None:
    from client.home import open_store

    for home in (reference / "random" / "seed-0" / "sites").iterdir():
        store = open_store(home, durable=False)
        split_of: dict[int, set[str]] = {}
        for patient, split in store.connection.execute("SELECT patient, split FROM cases"):
            split_of.setdefault(patient, set()).add(split)
        assert {"pool", "locked"} == {split for splits in split_of.values() for split in splits}
        assert all(len(splits) == 1 for splits in split_of.values())
        identity = store.connection.execute("SELECT identity FROM studies").fetchone()[0]
        read = {
            purpose: {
                row[0]
                for row in store.connection.execute(
                    'SELECT patient FROM readings JOIN cases ON cases.id = "case" '
                    "WHERE study = ? AND (purpose = 'audit') = ?",
                    (identity, purpose),
                )
            }
            for purpose in (0, 1)
        }
        assert read[0]
        assert not read[0] & read[1]
        store.close()


@pytest.mark.slow
@pytest.mark.parametrize(("arms", "workers"), [(["coreset"], 2), (["coreset", "random"], 2)])
def test_workers_change_no_bit(
    reference: Path,
    small_npz: Path,
    tmp_path: Path,
    arms: list[str],
    workers: int,
    study: MakeStudy,
    run: Simulate,
) -> None:
    plan = plan_of(study(), str(small_npz), arms, [0], workers=workers)
    out = run(plan, tmp_path / "out")
    for arm in arms:
        ours = bits(out / arm / "seed-0")
        assert len(ours) >= 5
        assert ours == bits(reference / arm / "seed-0")


@pytest.mark.slow
def test_hidden_labels_that_nobody_read_change_nothing(
    reference: Path, small_npz: Path, tmp_path: Path, study: MakeStudy, run: Simulate, lines: Lines
) -> None:
    """Flip every truth the arm did not read and every locked one: same choices, same model."""
    seen = {c["case"] for c in lines(reference / "coreset" / "seed-0", "choices.jsonl")}
    plan = plan_of(study(), str(small_npz), ["coreset"], [0])
    keys = plan.cases().keys
    content = dict(np.load(small_npz))
    pool = [k for k, s in zip(keys, plan.cases().splits, strict=True) if s == "pool"]
    unread = np.array([key not in seen for key in pool])
    assert 100 < unread.sum() < 150
    content["train_labels"] = np.where(
        unread[:, None], 1 - content["train_labels"], content["train_labels"]
    )
    content["test_labels"] = 1 - content["test_labels"]
    path = tmp_path / "small.npz"
    np.savez(path, **content)
    flipped = run(plan_of(study(), str(path), ["coreset"], [0]), tmp_path / "out")
    ours, theirs = bits(flipped / "coreset" / "seed-0"), bits(reference / "coreset" / "seed-0")
    assert ours.pop("cycles.jsonl") != theirs.pop("cycles.jsonl")  # the measured metrics differ
    assert ours == theirs


@pytest.mark.slow
def test_finished_runs_are_left_alone_and_new_seeds_join(
    small_npz: Path, tmp_path: Path, study: MakeStudy, run: Simulate
) -> None:
    out = run(plan_of(study(), str(small_npz), ["random"], [0]), tmp_path / "out")
    before = (out / "random" / "seed-0" / "ledger.db").stat().st_mtime_ns
    run(plan_of(study(), str(small_npz), ["random"], [0, 3]), out)
    assert (out / "random" / "seed-0" / "ledger.db").stat().st_mtime_ns == before
    assert (out / "random" / "seed-3" / "run.json").exists()
    assert json.loads((out / "simulation.json").read_text())["seeds"] == [0, 3]


@pytest.mark.slow
def test_another_study_is_refused_in_the_same_folder(
    small_npz: Path, tmp_path: Path, study: MakeStudy, run: Simulate
) -> None:
    out = run(plan_of(study(), str(small_npz), ["random"], [0]), tmp_path / "out")
    with pytest.raises(PlanError, match="holds another simulation"):
        run(plan_of(study(budget={"total": 24}), str(small_npz), ["random"], [0]), out)


def test_refused_simulations_leave_nothing(
    small_npz: Path, tmp_path: Path, study: MakeStudy, run: Simulate
) -> None:
    with pytest.raises(ValueError, match="200 sites"):
        run(
            plan_of(study(simulation={"sites": 200}), str(small_npz), ["random"], [0]),
            tmp_path / "a",
        )
    with pytest.raises(StudyError, match=r"budget.first = 12"):
        run(
            plan_of(study(simulation={"sites": 30}), str(small_npz), ["random"], [0]),
            tmp_path / "b",
        )
    with pytest.raises(StudyError, match="arm 'nonsense'"):
        plan_of(study(), str(small_npz), ["nonsense"], [0])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("there", [[], ["letter.txt"]])
def test_a_refused_simulation_leaves_a_folder_as_it_was(
    there: list[str], small_npz: Path, tmp_path: Path, study: MakeStudy, run: Simulate
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in there:
        (out / name).write_text("mine", encoding="utf-8")
    sites = 4 if there else 200
    with pytest.raises(ValueError, match="empty folder" if there else "200 sites"):
        run(plan_of(study(simulation={"sites": sites}), str(small_npz), ["random"], [0]), out)
    assert [path.name for path in out.iterdir()] == there
