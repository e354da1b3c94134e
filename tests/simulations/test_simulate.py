"""Whole simulations on small random images: same bits, sums, pairing, and who saw which truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocol.study import Study, StudyError, parse
from simulations.plan import Plan, PlanError, plan_of
from simulations.simulate import simulate

CLASSES = [{"name": n, "definition": f"it is {n}"} for n in ("clear", "dense")]
SMALL: dict[str, Any] = {
    "schema": 1,
    "name": "small",
    "task": {"image": [1, 12, 12], "classes": CLASSES},
    "network": {"name": "tiny-cnn"},
    "training": {"rounds_per_cycle": 2, "min_steps": 1, "max_steps": 2, "batch_size": 8},
    "budget": {"total": 36, "first": 12, "per_cycle": 12},
    "simulation": {"sites": 3},
}


def study(**sections: dict[str, Any]) -> Study:
    """The small study with some keys changed."""
    content = json.loads(json.dumps(SMALL))
    for name, keys in sections.items():
        content[name] = {**content.get(name, {}), **keys}
    return parse(content)


def images(rng: np.random.Generator, labels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Noise, brighter in the middle where the label is 1."""
    found = rng.integers(0, 120, (len(labels), *shape))
    found[:, 4:8, 4:8] += (labels * 90).reshape(-1, *([1] * len(shape)))
    return found.astype(np.uint8)


@pytest.fixture(scope="session")
def small_npz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """150 pool, 20 val and 60 test images of 12 x 12 with patients of up to three images."""
    rng = np.random.default_rng(7)
    content: dict[str, np.ndarray] = {}
    for split, n in (("train", 150), ("val", 20), ("test", 60)):
        labels = (rng.random(n) < 0.4).astype(np.int64)
        content[f"{split}_images"] = images(rng, labels, (12, 12))
        content[f"{split}_labels"] = labels[:, None]
        content[f"{split}_patient"] = np.array([f"{split}-{i // 3}" for i in range(n)])
    path = tmp_path_factory.mktemp("data") / "small.npz"
    np.savez(path, **content)
    return path


def run(plan: Plan, out: Path) -> Path:
    """Simulate and hand back the folder."""
    simulate(plan, out, lambda task, event: None)
    return out


def lines(folder: Path, name: str = "cycles.jsonl") -> list[dict[str, Any]]:
    """A run's account."""
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def bits(folder: Path) -> dict[str, bytes]:
    """Everything of a run that must not depend on how it was computed."""
    kept = sorted([*folder.glob("models/*.safetensors"), *folder.glob("*.jsonl")])
    return {path.name: path.read_bytes() for path in kept}


@pytest.fixture(scope="session")
def reference(small_npz: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three arms, two seeds, one worker."""
    plan = plan_of(study(), str(small_npz), ["coreset", "random", "full"], [0, 1])
    return run(plan, tmp_path_factory.mktemp("reference") / "out")


@pytest.mark.slow
def test_budget_adds_up_in_every_cycle(reference: Path) -> None:
    for arm in ("coreset", "random"):
        spent = 0
        for line in lines(reference / arm / "seed-0")[1:]:
            assert sum(line["granted"].values()) == 12
            for site, count in line["granted"].items():
                assert count == line["spent"][site] + line["returned"][site]
            spent += sum(line["spent"].values())
            assert line["readings"] == spent == line["training_readings"] + line["audit_readings"]
        assert spent == 36


def test_arms_of_a_seed_begin_alike(reference: Path) -> None:
    for seed in (0, 1):
        accounts = {a: lines(reference / a / f"seed-{seed}") for a in ("coreset", "random", "full")}
        starts = [account[0]["metrics"] for account in accounts.values()]
        assert starts[0] == starts[1] == starts[2]
        assert accounts["coreset"][1]["metrics"] == accounts["random"][1]["metrics"]
        assert accounts["coreset"][2]["labels"] != accounts["coreset"][1]["labels"]
    assert lines(reference / "random" / "seed-0")[0] != lines(reference / "random" / "seed-1")[0]


def test_every_look_at_a_truth_is_counted(reference: Path) -> None:
    for arm, readings in (("coreset", 36), ("random", 36), ("full", 0)):
        account = json.loads((reference / arm / "seed-0" / "run.json").read_text())
        assert account["looks"]["reading"] == readings
        assert account["looks"]["locked"] == 60
        assert account["looks"]["bound"] == (150 if arm == "full" else 0)
        assert account["finished"]


def test_full_arm_reads_everything_in_one_cycle(reference: Path) -> None:
    account = lines(reference / "full" / "seed-0")
    assert [line["cycle"] for line in account] == [-1, 0]
    assert account[1]["readings"] == 150
    assert sum(sum(c) for c in account[1]["labels"].values()) == account[1]["training_readings"]


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
    reference: Path, small_npz: Path, tmp_path: Path, arms: list[str], workers: int
) -> None:
    plan = plan_of(study(), str(small_npz), arms, [0], workers=workers)
    out = run(plan, tmp_path / "out")
    for arm in arms:
        ours = bits(out / arm / "seed-0")
        assert len(ours) >= 5
        assert ours == bits(reference / arm / "seed-0")


@pytest.mark.slow
def test_hidden_labels_that_nobody_read_change_nothing(
    reference: Path, small_npz: Path, tmp_path: Path
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
def test_finished_runs_are_left_alone_and_new_seeds_join(small_npz: Path, tmp_path: Path) -> None:
    out = run(plan_of(study(), str(small_npz), ["random"], [0]), tmp_path / "out")
    before = (out / "random" / "seed-0" / "ledger.db").stat().st_mtime_ns
    run(plan_of(study(), str(small_npz), ["random"], [0, 3]), out)
    assert (out / "random" / "seed-0" / "ledger.db").stat().st_mtime_ns == before
    assert (out / "random" / "seed-3" / "run.json").exists()
    assert json.loads((out / "simulation.json").read_text())["seeds"] == [0, 3]


@pytest.mark.slow
def test_another_study_is_refused_in_the_same_folder(small_npz: Path, tmp_path: Path) -> None:
    out = run(plan_of(study(), str(small_npz), ["random"], [0]), tmp_path / "out")
    with pytest.raises(PlanError, match="holds another simulation"):
        run(plan_of(study(budget={"total": 24}), str(small_npz), ["random"], [0]), out)


def test_refused_simulations_leave_nothing(small_npz: Path, tmp_path: Path) -> None:
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


VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "bald": {"query": {"strategy": "bald"}, "network": {"name": "tiny-cnn", "dropout": 0.3}},
    "badge, warm": {"query": {"strategy": "badge"}, "training": {"start": "warm"}},
    "cost": {
        "query": {"strategy": "margin", "cost_weighted": True},
        "task": {"cost": [[0, 1], [5, 0]]},
    },
    "fedadam": {"aggregation": {"name": "fedadam"}, "budget": {"policy": "uncertainty-mass"}},
    "fedprox, proportional": {
        "aggregation": {"name": "fedprox"},
        "budget": {"policy": "proportional"},
        "simulation": {"split": "quantity", "sites": 4},
    },
    "two unsure readers": {
        "reading": {"readers_per_case": 2, "consensus": "dawid-skene"},
        "simulation": {"readers": {"per_site": 3, "error": [0.1, 0.3], "unsure": 0.2}},
    },
    "scanners": {"simulation": {"scanners": True, "split": "dirichlet:0.3"}},
    "augmented": {
        "training": {"augmentation": {"flip": 0.5, "rotate": 10, "noise": 0.05}, "loss": "focal"}
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_variants_run_to_their_end(name: str, small_npz: Path, tmp_path: Path) -> None:
    plan = plan_of(study(**VARIANTS[name]), str(small_npz), ["default"], [0])
    account = lines(run(plan, tmp_path / "out") / "default" / "seed-0")
    assert account[-1]["readings"] == 36
    assert account[-1]["metrics"]["locked"]["cases"] == 60
    if name == "two unsure readers":
        labels = sum(sum(c) for c in account[-1]["labels"].values())
        assert 0 < labels < account[-1]["training_readings"]


@pytest.mark.slow
def test_minutes_as_unit_add_up(small_npz: Path, tmp_path: Path) -> None:
    changed = study(
        budget={"unit": "minutes", "total": 12, "first": 6, "per_cycle": 6},
        simulation={"readers": {"seconds": 40.0}},
    )
    out = run(plan_of(changed, str(small_npz), ["random"], [0]), tmp_path / "out")
    account = lines(out / "random" / "seed-0")[1:]
    total = sum(sum(line["spent"].values()) for line in account)
    sites = len(account[-1]["granted"])
    assert 12 <= total <= 12 + sites
    assert account[-1]["minutes"] <= total
    assert total - account[-1]["minutes"] < sites  # each site rounds its running total up once
    assert all(line["returned"][s] >= -1 for line in account for s in line["returned"])


@pytest.mark.slow
def test_a_budget_larger_than_the_pool_ends_with_the_pool(small_npz: Path, tmp_path: Path) -> None:
    changed = study(budget={"total": 1000, "first": 100, "per_cycle": 100})
    out = run(plan_of(changed, str(small_npz), ["random"], [0]), tmp_path / "out")
    account = lines(out / "random" / "seed-0")
    assert account[-1]["readings"] == 150
    assert [line["cycle"] for line in account] == list(range(-1, len(account) - 1))


@pytest.mark.slow
def test_multi_label_colour_images(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    content: dict[str, np.ndarray] = {}
    for split, n in (("train", 90), ("val", 6), ("test", 40)):
        labels = (rng.random((n, 3)) < 0.4).astype(np.int64)
        content[f"{split}_images"] = images(rng, labels[:, 0], (12, 12, 3))
        content[f"{split}_labels"] = labels
    np.savez(tmp_path / "many.npz", **content)
    names = [{"name": n, "definition": n} for n in ("a", "b", "c")]
    changed = study(
        task={"kind": "multi-label", "image": [3, 12, 12], "classes": names},
        query={"strategy": "entropy"},
        reading={"consensus": "dawid-skene"},
    )
    out = run(plan_of(changed, str(tmp_path / "many.npz"), ["default"], [0]), tmp_path / "out")
    last = lines(out / "default" / "seed-0")[-1]
    assert last["readings"] == 36
    assert last["metrics"]["locked"]["pooled"]["auroc"][0] is not None
    assert last["metrics"]["locked"]["clustered"] is False


@pytest.mark.slow
def test_natural_sites_keep_their_names(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    content: dict[str, np.ndarray] = {}
    for split, n in (("train", 60), ("val", 6), ("test", 30)):
        labels = (rng.random(n) < 0.5).astype(np.int64)
        content[f"{split}_images"] = images(rng, labels, (12, 12))
        content[f"{split}_labels"] = labels[:, None]
        content[f"{split}_site"] = np.array([("north", "south")[i % 2] for i in range(n)])
    np.savez(tmp_path / "two.npz", **content)
    plan = plan_of(study(simulation={"split": "site"}), str(tmp_path / "two.npz"), ["random"], [0])
    last = lines(run(plan, tmp_path / "out") / "random" / "seed-0")[-1]
    assert sorted(last["granted"]) == ["north", "south"]


@pytest.mark.slow
def test_scored_on_val_uses_the_other_split(small_npz: Path, tmp_path: Path) -> None:
    plan = plan_of(study(), str(small_npz), ["random"], [0], scored_on="val")
    last = lines(run(plan, tmp_path / "out") / "random" / "seed-0")[-1]
    assert last["metrics"]["locked"]["cases"] == 20
