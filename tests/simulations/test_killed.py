"""Killed with SIGKILL at random moments and continued: the same bits as uninterrupted."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.home import open_store

STUDY = """
schema = 1
name = "killed"
[task]
image = [1, 12, 12]
classes = [{name = "a", definition = "a"}, {name = "b", definition = "b"}]
[network]
name = "tiny-cnn"
[training]
rounds_per_cycle = 4
min_steps = 4
max_steps = 4
[query]
strategy = "badge"
[budget]
total = 27
first = 9
per_cycle = 9
[simulation]
sites = 3
"""

PRIVATE = (
    STUDY.replace('"badge"', '"threshold-random"\ncold_start = "random"')
    .replace("steps = 4", "steps = 20")
    .replace("rounds_per_cycle = 4", "rounds_per_cycle = 2")
    .replace("[training]", '[training]\nstart = "warm"')
    + """[privacy]
epsilon = 8.0
clipping = "adaptive"
querying = "covered"
"""
)
"""Its steps take so long that a kill meets charges whose update has not left yet."""

OWED = "SELECT id FROM privacy_charges WHERE released = '' AND step = 'train' AND cycle > 0"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study file and 120 + 40 images."""
    folder = tmp_path_factory.mktemp("killed")
    rng = np.random.default_rng(1)
    content: dict[str, Any] = {}
    for split, n in (("train", 120), ("val", 4), ("test", 40)):
        content[f"{split}_images"] = rng.integers(0, 255, (n, 12, 12)).astype(np.uint8)
        content[f"{split}_labels"] = rng.integers(0, 2, (n, 1))
    np.savez(folder / "noise.npz", **content)
    (folder / "killed.toml").write_text(STUDY)
    (folder / "private.toml").write_text(PRIVATE)
    return folder


def start(folder: Path, out: Path, workers: int, study: str = "killed") -> subprocess.Popen[str]:
    """The command in a process group of its own."""
    words = [
        str(folder / f"{study}.toml"),
        "--data",
        str(folder / "noise.npz"),
        "--arms",
        "default",
    ]
    words += ["--workers", str(workers), "--out", str(out), "--format", "json"]
    code = "from simulations.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, "simulate", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(folder: Path, out: Path, workers: int = 1, study: str = "killed") -> dict[str, bytes]:
    """Run to the end; everything that must be the same."""
    process = start(folder, out, workers, study)
    told, complaint = process.communicate(timeout=120)
    assert process.returncode == 0, complaint
    assert json.loads(told)["arms"]["default"]
    run = out / "default" / "seed-0"
    kept = sorted([*run.glob("models/*.safetensors"), *run.glob("*.jsonl")])
    return {path.name: path.read_bytes() for path in kept}


@pytest.fixture(scope="module")
def uninterrupted(folder: Path) -> dict[str, bytes]:
    """What a run that nobody disturbs leaves behind."""
    return finish(folder, folder / "whole")


def killed_at(folder: Path, out: Path, when: float, workers: int) -> bool:
    """Start, wait until the ledger is there and then a while, kill; whether it was still going."""
    process = start(folder, out, workers)
    ledger = out / "default" / "seed-0" / "ledger.db"
    while process.poll() is None and not ledger.exists():
        time.sleep(0.01)
    time.sleep(when)
    going = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    for pipe in (process.stdout, process.stderr):
        assert pipe is not None
        pipe.close()
    return going


@pytest.mark.slow
def test_killed_twice_and_continued_gives_the_same_bits(
    folder: Path, uninterrupted: dict[str, bytes], tmp_path: Path
) -> None:
    assert killed_at(folder, tmp_path / "out", 0.15, 1)
    killed_at(folder, tmp_path / "out", 0.3, 2)
    assert finish(folder, tmp_path / "out") == uninterrupted


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_killed_at_random_steps(
    seed: int, folder: Path, uninterrupted: dict[str, bytes], tmp_path: Path
) -> None:
    moments = random.Random(seed)  # noqa: S311 - when to kill, not a secret
    for _ in range(5):
        killed_at(folder, tmp_path / "out", moments.uniform(0, 0.6), moments.choice([1, 2]))
    assert finish(folder, tmp_path / "out", moments.choice([1, 2])) == uninterrupted


@pytest.mark.slow
def test_a_second_simulation_waits_for_nobody(folder: Path, tmp_path: Path) -> None:
    """Two at once in one folder: one is refused with a sentence, the other is not disturbed."""
    first = start(folder, tmp_path / "out", 1)
    while not (tmp_path / "out" / "plan.json").exists():
        assert first.poll() is None
        time.sleep(0.01)
    first.send_signal(signal.SIGSTOP)
    second = start(folder, tmp_path / "out", 1)
    _, complaint = second.communicate(timeout=60)
    first.send_signal(signal.SIGCONT)
    assert second.returncode == 2
    assert complaint.count("\n") == 1
    assert "in use by another simulation" in complaint
    _, complaint = first.communicate(timeout=60)
    assert first.returncode == 0, complaint


def stores(out: Path) -> list[Path]:
    """The sites' homes of the one run, once they are there."""
    return sorted(path.parent for path in out.glob("default/seed-0/sites/*/site.db"))


def owed(out: Path) -> set[tuple[str, int]]:
    """Charges for training after the first cycle for which nothing has left yet, by site."""
    found = set()
    for home in stores(out):
        connection = sqlite3.connect(f"file:{home / 'site.db'}?mode=ro", uri=True)
        try:
            found |= {(home.name, number) for (number,) in connection.execute(OWED)}
        except sqlite3.OperationalError:  # it is just being made
            continue
        finally:
            connection.close()
    return found


def killed_in_debt(folder: Path, out: Path, workers: int) -> int:
    """Kill in the midst of a cycle, between a charge and its release; how many then were owed."""
    before = owed(out)
    process = start(folder, out, workers, "private")
    while process.poll() is None and not owed(out) - before:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    told, _ = process.communicate()
    assert not told  # it had not ended
    time.sleep(0.2)  # its workers die with it
    return len(owed(out))


def accounts(out: Path) -> dict[str, Any]:
    """Every site's account to the last charge, without its time; digests are of what left."""
    found = {}
    identity = json.loads((out / "default" / "seed-0" / "run.json").read_text())["study"]
    for home in stores(out):
        store = open_store(home, durable=False)
        charges = [asdict(c) | {"at": ""} for c in store.privacy.all(identity)]
        opened = store.privacy.account(identity)
        store.close()
        assert opened is not None
        found[home.name] = (asdict(opened) | {"at": ""}, charges)
    return found


def ledger(out: Path) -> dict[tuple[Any, ...], bytes]:
    """Every record of every site, by step and site."""
    connection = sqlite3.connect(out / "default" / "seed-0" / "ledger.db")
    rows = connection.execute("SELECT cycle, step, round, sequence, site, block FROM records")
    found = {tuple(key): bytes(block) for *key, block in rows}
    connection.close()
    return found


@pytest.mark.slow
def test_privacy_account_and_updates_of_a_killed_study_are_those_of_one_that_was_not(
    folder: Path, tmp_path: Path
) -> None:
    """Noise is drawn from seeds here: what a charge has paid for leaves once, and is the same."""
    whole, out = tmp_path / "whole", tmp_path / "out"
    expected = finish(folder, whole, study="private")
    in_debt = [killed_in_debt(folder, out, workers) for workers in (1, 2)]
    assert max(in_debt) > 0
    assert finish(folder, out, study="private") == expected
    assert accounts(out) == accounts(whole)
    assert ledger(out) == ledger(whole)
    for _, charges in accounts(out).values():
        assert all(charge["released"] for charge in charges)
        trained = [c for c in charges if c["step"] == "train"]
        assert len({(c["cycle"], c["round"]) for c in trained}) == len(trained) == 6
        assert len({c["released"] for c in trained}) == 6
