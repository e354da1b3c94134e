"""From the start of `wardround simulate` to its first finished round."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import tomli_w

from protocol.study import document
from simulations.benchmarks.goals import Line
from simulations.benchmarks.runs import QUIET, ROOT, bench_study


def start(quick: bool, repeats: int) -> Iterator[Line]:
    """Seconds on the embedded phantom, four sites, and how many of them are imports of others."""
    times = range(1 if quick else repeats)
    for network in ("resnet", "tiny-cnn"):
        yield Line(
            f"command to its first finished round, {network}",
            tuple(_first_round(network) for _ in times),
            "at most",
            5.0,
            unit="s",
            note="phantom, 4 sites, one worker; until the first round's model is on disk",
        )
    for what, code in (
        ("of which import torch", "import torch"),
        ("of which import torch and MONAI's ResNet", "from monai.networks.nets import resnet"),
    ):
        yield Line(what, tuple(_seconds(code) for _ in times), "at most", None, unit="s")


def _seconds(code: str) -> float:
    """How long an interpreter takes for that code, its own start included."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 - our own constants
    return time.perf_counter() - began


def _first_round(network: str) -> float:
    with tempfile.TemporaryDirectory() as place:
        study, out = Path(place) / "study.toml", Path(place) / "out"
        study.write_text(tomli_w.dumps(document(bench_study(network, 4, 20))), encoding="utf-8")
        model = out / "default" / "seed-0" / "models" / "cycle-000-round-001.safetensors"
        code = "from simulations.cli import main; main()"
        call = ["simulate", str(study), "--arms", "default", "--out", str(out), "--format", "json"]
        began = time.perf_counter()
        child = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-c", code, *call],
            cwd=ROOT,
            env=os.environ | QUIET,
            stdout=subprocess.DEVNULL,
        )
        try:
            while not model.exists():
                if child.poll() is not None:
                    raise RuntimeError(f"the command ended with {child.returncode} before a round")
                time.sleep(0.01)
            return time.perf_counter() - began
        finally:
            child.kill()
            child.wait()
