"""The peers' environments: one each under `.bench/`, made on first use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
THREADS = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
QUIET = {"TQDM_DISABLE": "1"}  # progress bars of peers
WORKER = "simulations.benchmarks.selection.worker"
_TORCH = "torch>=2.6,<2.14"  # as ours: a wider range pulls gigabytes of CUDA on a CPU machine
NEEDS: dict[str, tuple[str, ...]] = {
    "scikit-activeml": ("scikit-activeml==1.0.1",),  # ours reproduces this version's draws
    "deepal": ("numpy",),  # its algorithm, from its published code
    "small-text": ("small-text==1.4.1",),
    "baal": (_TORCH, "baal==2.1.0"),
    "batchbald-redux": (_TORCH, "batchbald-redux==2.0.5"),
    "crowd-kit": ("crowd-kit==1.4.2",),
}
"""What is installed for each peer; the versions are those that were compared."""


def python_of(peer: str) -> Path:
    """The interpreter of a peer's environment, made if it is not there yet.

    Raises:
        subprocess.CalledProcessError: it could not be installed.
    """
    folder = ROOT / ".bench" / f"select-{peer}"
    python = folder / "bin" / "python"
    made, wanted = folder / "made.txt", "\n".join(NEEDS[peer])
    if not made.exists() or made.read_text(encoding="ascii") != wanted:
        print(f"installing {peer} into {folder.relative_to(ROOT)} ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)  # noqa: S603 - our own command
        install = [str(python), "-m", "pip", "install", "--quiet", *NEEDS[peer]]
        subprocess.run(install, check=True)  # noqa: S603 - our own command
        made.write_text(wanted, encoding="ascii")
    return python


def work(side: str, task: str, folder: Path, k: int) -> dict[str, float]:
    """What one worker said; side is a peer's name, "ours" or "million".

    Raises:
        subprocess.CalledProcessError: the worker ended with an error, which is on the terminal.
    """
    python = str(python_of(side)) if side in NEEDS else sys.executable
    ended = subprocess.run(  # noqa: S603 - our own command
        [python, "-m", WORKER, side, task, str(folder), str(k)],
        check=True,
        cwd=ROOT,
        env=os.environ | THREADS | QUIET,
        stdout=subprocess.PIPE,
        text=True,
    )
    said: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    return said
