"""A small study on small random images, simulated."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocol.study import Study, parse
from simulations.plan import Plan
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


@pytest.fixture(scope="session")
def study() -> Callable[..., Study]:
    """Makes the small study with some keys changed."""

    def changed(**sections: dict[str, Any]) -> Study:
        content = json.loads(json.dumps(SMALL))
        for name, keys in sections.items():
            content[name] = {**content.get(name, {}), **keys}
        return parse(content)

    return changed


@pytest.fixture(scope="session")
def images() -> Callable[..., np.ndarray]:
    """Makes noise, brighter in the middle where the label is 1."""

    def noise(rng: np.random.Generator, labels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        found = rng.integers(0, 120, (len(labels), *shape))
        found[:, 4:8, 4:8] += (labels * 90).reshape(-1, *([1] * len(shape)))
        return found.astype(np.uint8)

    return noise


@pytest.fixture(scope="session")
def small_npz(tmp_path_factory: pytest.TempPathFactory, images: Callable[..., np.ndarray]) -> Path:
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


@pytest.fixture(scope="session")
def run() -> Callable[[Plan, Path], Path]:
    """Simulates, and hands back the folder."""

    def simulated(plan: Plan, out: Path) -> Path:
        simulate(plan, out, lambda task, event: None)
        return out

    return simulated


@pytest.fixture(scope="session")
def lines() -> Callable[..., list[dict[str, Any]]]:
    """Reads a run's account."""

    def read(folder: Path, name: str = "cycles.jsonl") -> list[dict[str, Any]]:
        return [json.loads(line) for line in (folder / name).read_text().splitlines()]

    return read
