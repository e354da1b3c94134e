"""A study over a real federation ends with the model that its simulation ends with, bit by bit."""

from __future__ import annotations

import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from client.home import HomePaths
from protocol.codec import unpack
from protocol.records import GlobalState
from simulations.poc.commands import installed
from simulations.poc.layout import Layout, site_names
from simulations.poc.poc import run
from simulations.poc.words import per_site
from simulations.studies import committed

pytestmark = [pytest.mark.faults, pytest.mark.filterwarnings("ignore::pytest.PytestWarning")]

SITES = 2


def records(ledger: Path) -> dict[tuple[Any, ...], bytes]:
    """Every site's committed records, by step and site."""
    connection = sqlite3.connect(ledger)
    rows = connection.execute("SELECT cycle, step, round, sequence, site, block FROM records")
    found = {tuple(key): bytes(block) for *key, block in rows}
    connection.close()
    return found


def simulated(out: Path, overrides: list[str]) -> Path:
    """The folder of the study's own arm, simulated by the local engine."""
    words = [word for override in overrides for word in ("--set", override)]
    command = [installed("wardround"), "simulate", "poc", *words, "--arms", "default"]
    command += ["--seeds", "1", "--workers", "1", "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True)
    return out / "default" / "seed-0"


def test_a_real_federation_ends_with_the_simulations_bits(tmp_path: Path) -> None:
    file = committed()["poc"]
    overrides = per_site(file, SITES)
    expected = simulated(tmp_path / "simulation", overrides)
    layout = Layout(tmp_path / "poc", site_names(SITES))
    ended = run(layout, file, overrides, 1500.0, lambda line: print(line, flush=True))
    assert ended.state == "ended"
    (folder,) = (layout.server / "studies").iterdir()
    assert records(folder / "ledger.db") == records(expected / "ledger.db")
    model = sorted((expected / "models").glob("*.safetensors"))[-1]
    arrays = unpack(GlobalState, model.read_bytes()).arrays
    exported = load_file(layout.exported / "model.safetensors")
    assert set(exported) == set(arrays)
    for name, array in arrays.items():
        assert np.array_equal(exported[name], array), name


def test_secagg_of_real_processes_ends_with_the_simulations_model_and_no_update_is_bare(
    tmp_path: Path,
) -> None:
    """Masks go over Flower's own transport; rounding by chance is all that differs."""
    file = committed()["poc"]
    overrides = [*per_site(file, 3), "budget.total=90"]  # one cycle
    expected = simulated(tmp_path / "simulation", overrides)
    layout = Layout(tmp_path / "poc", site_names(3))
    secure = [*overrides, "aggregation.secure=true"]
    ended = run(layout, file, secure, 1500.0, lambda line: print(line, flush=True))
    assert ended.state == "ended"
    for home in map(layout.site, layout.names):
        left = told(home, "SELECT words FROM audit WHERE event = 'left' AND record = 'SiteUpdate'")
        assert len(left) >= 2  # rounds
        assert all("masked" in words for words in left)
    model = sorted((expected / "models").glob("*.safetensors"))[-1]
    exported = load_file(layout.exported / "model.safetensors")
    for name, array in unpack(GlobalState, model.read_bytes()).arrays.items():
        assert np.abs(exported[name] - array).max() < 5e-3, name


def told(home: Path, query: str) -> list[str]:
    """What a site's database says."""
    connection = sqlite3.connect(HomePaths(home).database)
    rows = [str(row[0]) for row in connection.execute(query)]
    connection.close()
    return rows
