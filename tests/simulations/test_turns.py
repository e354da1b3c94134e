"""Simulated readers, some of whose cases another reads too and some of which come back."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocol.study import parse
from simulations.plan import plan_of
from simulations.simulate import simulate

STUDY: dict[str, Any] = {
    "schema": 1,
    "name": "again",
    "task": {
        "image": [1, 12, 12],
        "classes": [{"name": n, "definition": n} for n in ("clear", "dense")],
    },
    "network": {"name": "tiny-cnn"},
    "training": {"rounds_per_cycle": 1, "min_steps": 1, "max_steps": 1, "batch_size": 8},
    "budget": {"total": 120, "first": 60, "per_cycle": 60},
    "reading": {"second_share": 0.5, "repeats": 0.3},
    "simulation": {"sites": 2, "readers": {"error": 0.2, "unsure": 0.1}},
}


def data(folder: Path) -> Path:
    rng = np.random.default_rng(7)
    content: dict[str, np.ndarray] = {}
    for split, n in (("train", 150), ("val", 4), ("test", 20)):
        content[f"{split}_images"] = rng.integers(0, 255, (n, 12, 12), dtype=np.uint8)
        content[f"{split}_labels"] = rng.integers(0, 2, (n, 1))
    np.savez(folder / "again.npz", **content)
    return folder / "again.npz"


def readings(out: Path) -> list[list[tuple[Any, ...]]]:
    found = []
    for database in sorted(out.rglob("site.db")):
        with closing(sqlite3.connect(database)) as connection:
            sql = (
                'SELECT cycle, "case", purpose, reader, value, stage, at FROM readings ORDER BY id'
            )
            found.append(connection.execute(sql).fetchall())
    return found


@pytest.mark.slow
def test_repeats_and_second_readers_spend_the_budget_and_fall_the_same_again(
    tmp_path: Path,
) -> None:
    plan = plan_of(parse(STUDY), str(data(tmp_path)), ["random"], [3])
    runs = []
    for name in ("one", "two"):
        simulate(plan, tmp_path / name, lambda task, event: None)
        runs.append(readings(tmp_path / name))
    assert runs[0] == runs[1]
    sites = [site for site in runs[0] if site]
    assert len(sites) == 2
    for site in sites:
        first = {(case, reader) for _, case, _, reader, _, stage, _ in site if stage == "blind"}
        back = [(case, reader) for _, case, _, reader, _, stage, _ in site if stage == "repeat"]
        assert back
        assert set(back) <= first
        assert len(back) == len(set(back))
        cases = {case for case, _ in first}
        assert len(cases) < len(first)  # some were read by two
    account = next((tmp_path / "one").rglob("cycles.jsonl")).read_text().splitlines()
    lines = [json.loads(line) for line in account]
    assert lines[-1]["readings"] == sum(len(site) for site in sites) <= 120
    for line in lines[1:]:
        for name, granted in line["granted"].items():
            assert granted == line["spent"][name] + line["returned"][name]
            assert line["returned"][name] >= 0
    assert lines[-1]["readings"] >= 90  # few are left by chance
