"""Flower's own simulation engine gives the same bits as ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

STUDY = """
schema = 1
name = "engines"
[task]
image = [1, 12, 12]
classes = [{name = "a", definition = "a"}, {name = "b", definition = "b"}]
[network]
name = "tiny-cnn"
[training]
rounds_per_cycle = 2
max_steps = 10
[budget]
total = 16
per_cycle = 8
[simulation]
sites = 3
"""


@pytest.mark.slow
def test_ray_and_local_give_the_same_bits(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    content = {}
    for split, n in (("train", 60), ("val", 4), ("test", 30)):
        content[f"{split}_images"] = rng.integers(0, 255, (n, 12, 12)).astype(np.uint8)
        content[f"{split}_labels"] = rng.integers(0, 2, (n, 1))
    np.savez(tmp_path / "noise.npz", **content)
    (tmp_path / "engines.toml").write_text(STUDY)
    found = {}
    for engine in ("local", "ray"):
        words = ["simulate", "engines.toml", "--data", "noise.npz", "--arms", "default"]
        words += ["--engine", engine, "--workers", "2", "--out", engine]
        code = "from simulations.cli import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", code, *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        run = tmp_path / engine / "default" / "seed-0"
        kept = sorted([*run.glob("models/*.safetensors"), *run.glob("*.jsonl")])
        found[engine] = {path.name: path.read_bytes() for path in kept}
    assert len(found["local"]) == 4
    assert found["ray"] == found["local"]
