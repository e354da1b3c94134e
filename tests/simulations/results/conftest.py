"""Run directories as the engine leaves them, with numbers made up from a formula."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SITES = ("site-01", "site-02", "site-03")
STUDY = """schema = 1
name = "{name}"
seed = {seed}

[task]
classes = [
  {{ name = "normal", definition = "no opacity" }},
  {{ name = "pneumonia", definition = "an opacity" }},
]

[query]
strategy = "{strategy}"
cold_start = "{cold_start}"

[budget]
total = 120
per_cycle = 24
"""
Metrics = dict[str, Any]


@dataclass(frozen=True)
class Sketch:
    """What a made-up simulation looks like; `height(arm, seed, cycle)` is its AUROC."""

    arms: tuple[str, ...] = ("coreset", "random", "full")
    seeds: tuple[int, ...] = (0, 1, 2)
    cycles: int = 5
    height: Callable[[str, int, int], float] | None = None
    name: str = "pneumonia"
    clustered: bool = True
    unfinished: tuple[tuple[str, int], ...] = ()
    cold_start: Mapping[str, str] | None = None
    not_estimable: tuple[str, ...] = ()
    sites: tuple[str, ...] = SITES


def learning(arm: str, seed: int, cycle: int) -> float:
    """Rising AUROC; arms are one until their second evaluation, as after one cold start."""
    if cycle < 0:
        return 0.48 + 0.01 * seed
    if arm == "full":
        return 0.95 + 0.004 * seed
    pace = {"coreset": 0.9, "badge": 0.75}.get(arm, 0.55)
    jitter = 0.008 * np.sin(7.0 * seed + 3.0 * cycle + len(arm)) if cycle else 0.0
    start = 0.80 + 0.01 * seed
    return float(start + (0.945 - start) * (1 - np.exp(-pace * cycle)) + jitter)


def _scope(auroc: float, half: float, without: Sequence[str]) -> Metrics:
    values = {
        "auroc": (auroc, half),
        "auprc": (auroc - 0.02, half),
        "balanced_accuracy": (auroc - 0.1, half),
        "brier": (0.9 * (1 - auroc) + 0.05, 0.01),
        "log_loss": (2 * (1 - auroc) + 0.1, 0.03),
        "ece": (0.06, 0.02),
        "sensitivity": (2 * auroc - 1, 2 * half),
        "expected_cost": (1 - auroc, half),
    }
    return {
        name: [None] * 3 if name in without else [v, v - h, min(1.0, v + h)]
        for name, (v, h) in values.items()
    }


def measured(sketch: Sketch, auroc: float, cases: int) -> Metrics:
    """One evaluation on `cases` cases, the last site 0.03 worse than the first."""
    half = 0.9 / np.sqrt(cases)
    spread = np.linspace(0.015, -0.015, len(sketch.sites))
    without = sketch.not_estimable
    return {
        "cases": cases,
        "patients": cases // 2 if sketch.clustered else cases,
        "clustered": sketch.clustered,
        "unsettled": 0,
        "pooled": _scope(auroc, half, without),
        "macro": _scope(auroc - 0.002, half, without),
        "worst": _scope(auroc - 0.015, 1.7 * half, without),
        "sites": {
            site: _scope(auroc + d, 1.7 * half, without)
            for site, d in zip(sketch.sites, spread, strict=True)
        },
    }


def _cycle(sketch: Sketch, arm: str, seed: int, cycle: int) -> dict[str, Any]:
    full = arm == "full"
    per_site, n = (400 if full else 8), len(sketch.sites)
    done = cycle + 1
    auroc = (sketch.height or learning)(arm, seed, cycle)
    positives = {"coreset": 0.42, "badge": 0.5}.get(arm, 0.26)
    training = per_site * n * done - 2 * n * done * (not full)
    labels = training / n
    return {
        "cycle": cycle,
        "readings": per_site * n * done,
        "training_readings": training,
        "audit_readings": per_site * n * done - training,
        "minutes": 0.35 * per_site * n * done,
        "days": 1.5 * done,
        "granted": dict.fromkeys(sketch.sites, per_site if done else 0),
        "reasons": dict.fromkeys(sketch.sites, f"{per_site} of {per_site * n}: equal parts"),
        "spent": dict.fromkeys(sketch.sites, per_site if done else 0),
        "returned": dict.fromkeys(sketch.sites, 0),
        "labels": {
            s: [round(labels) - round(positives * labels), round(positives * labels)]
            for s in sketch.sites
        },
        "site_minutes": dict.fromkeys(sketch.sites, 0.35 * per_site * done),
        "loss": [0.6, 0.4, 0.3] if done else [],
        "advice": "stop: predictions stable over 3 cycles" if cycle == 4 and arm != "full" else "",
        "metrics": {
            "audit": measured(sketch, auroc - 0.01, 8 * done + 20) if done else None,
            "locked": measured(sketch, auroc, 624),
        },
    }


def write(out: Path, sketch: Sketch) -> Path:
    """Write a simulation's directory and return it."""
    out.mkdir(parents=True)
    document = {
        "schema": 1,
        "study": sketch.name,
        "arms": list(sketch.arms),
        "seeds": list(sketch.seeds),
        "data": {"source": "phantom", "digest": "d" * 64, "cases": 1800}
        | {"clustered": sketch.clustered},
        "split": "dirichlet:0.5",
        "sites": list(sketch.sites),
        "scored_on": "test",
        "unit": "readings",
        "engine": "local",
        "workers": 2,
    }
    (out / "simulation.json").write_text(json.dumps(document))
    for arm in sketch.arms:
        for seed in sketch.seeds:
            _write_run(out / arm / f"seed-{seed}", sketch, arm, seed)
    return out


def _write_run(path: Path, sketch: Sketch, arm: str, seed: int) -> None:
    path.mkdir(parents=True)
    cold_start = (sketch.cold_start or {}).get(arm, "random")
    study = STUDY.format(
        name=sketch.name,
        seed=seed,
        strategy="random" if arm == "full" else arm,
        cold_start=cold_start,
    )
    (path / "study.toml").write_text(study)
    run = {
        "schema": 1,
        "arm": arm,
        "seed": seed,
        "study": f"{seed}".zfill(64),
        "weights": f"{seed}".zfill(64),
        "data": "d" * 64,
        "versions": {"wardround": "0.1.0", "torch": "2.13.0"},
        "git": None,
        "finished": (arm, seed) not in sketch.unfinished,
        "seconds": 12.5,
    }
    (path / "run.json").write_text(json.dumps(run))
    last = 1 if arm == "full" else sketch.cycles
    lines = [_cycle(sketch, arm, seed, cycle) for cycle in range(-1, last)]
    (path / "cycles.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def simulated(tmp_path: Path) -> Callable[..., Path]:
    """Write a simulation with a sketch's fields changed; returns its directory."""

    def make(out: str = "out", **fields: Any) -> Path:
        return write(tmp_path / out, Sketch(**fields))

    return make
