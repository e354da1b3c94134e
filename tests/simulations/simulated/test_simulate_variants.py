"""Whole simulations of other studies: strategies, units, many labels, natural sites."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocol.study import Study
from simulations.plan import Plan, plan_of

MakeStudy = Callable[..., Study]
Images = Callable[..., np.ndarray]
Simulate = Callable[[Plan, Path], Path]
Lines = Callable[..., list[dict[str, Any]]]


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
def test_variants_run_to_their_end(
    name: str, small_npz: Path, tmp_path: Path, study: MakeStudy, run: Simulate, lines: Lines
) -> None:
    plan = plan_of(study(**VARIANTS[name]), str(small_npz), ["default"], [0])
    account = lines(run(plan, tmp_path / "out") / "default" / "seed-0")
    assert account[-1]["readings"] == 36
    assert account[-1]["metrics"]["locked"]["cases"] == 60
    if name == "two unsure readers":
        labels = sum(sum(c) for c in account[-1]["labels"].values())
        assert 0 < labels < account[-1]["training_readings"]


@pytest.mark.slow
def test_minutes_as_unit_add_up(
    small_npz: Path, tmp_path: Path, study: MakeStudy, run: Simulate, lines: Lines
) -> None:
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
def test_a_budget_larger_than_the_pool_ends_with_the_pool(
    small_npz: Path, tmp_path: Path, study: MakeStudy, run: Simulate, lines: Lines
) -> None:
    changed = study(budget={"total": 1000, "first": 100, "per_cycle": 100})
    out = run(plan_of(changed, str(small_npz), ["random"], [0]), tmp_path / "out")
    account = lines(out / "random" / "seed-0")
    assert account[-1]["readings"] == 150
    assert [line["cycle"] for line in account] == list(range(-1, len(account) - 1))


@pytest.mark.slow
def test_multi_label_colour_images(
    tmp_path: Path, study: MakeStudy, images: Images, run: Simulate, lines: Lines
) -> None:
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
def test_natural_sites_keep_their_names(
    tmp_path: Path, study: MakeStudy, images: Images, run: Simulate, lines: Lines
) -> None:
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
def test_scored_on_val_uses_the_other_split(
    small_npz: Path, tmp_path: Path, study: MakeStudy, run: Simulate, lines: Lines
) -> None:
    plan = plan_of(study(), str(small_npz), ["random"], [0], scored_on="val")
    last = lines(run(plan, tmp_path / "out") / "random" / "seed-0")[-1]
    assert last["metrics"]["locked"]["cases"] == 20
