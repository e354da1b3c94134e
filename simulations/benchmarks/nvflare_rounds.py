"""Twenty rounds on the local engine and in NVFLARE's simulator, the same training in both.

The peer has an environment of its own under `.bench/`; torch, MONAI and our own files reach it
from this environment, behind its own packages, so that both sides compute with the same libraries.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np

from protocol.study import Study, document
from simulations.benchmarks.goals import Line
from simulations.benchmarks.recipe import recipe_of
from simulations.benchmarks.runs import ROOT, THREADS, bench_study, command, ratios
from simulations.plan import Task, plan_of

PEER = "nvflare==2.9.0"  # the version whose recipe the job uses
SITES, WORKERS = 4, 2


def against_nvflare(quick: bool, repeats: int) -> Iterator[Line]:
    """ResNet, four sites; ours is the whole study, the peer's only its training."""
    what, goal = f"NVFLARE simulator over local, resnet, {SITES} sites", 7.0
    try:
        python = peer_python()
    except subprocess.CalledProcessError as error:
        reason = f"{PEER} cannot be installed here: pip ended with {error.returncode}"
        yield Line(what, (), "at least", goal, note=reason)
        return
    study = bench_study("resnet", SITES, 2 if quick else 20)
    ours: list[tuple[float, float]] = []
    peer: list[tuple[float, float]] = []
    for i in range(1 if quick else repeats):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            ours.append(command(study, folder / f"ours-{i}", "--workers", str(WORKERS)))
            _write(study, Task(folder / f"ours-{i}", "default", study.seed).folder, folder)
            peer.append(_simulated(python, folder, study))
    commands = median(ratios([p[0] for p in peer], [o[0] for o in ours]))
    yield Line(
        what,
        ratios([p[1] for p in peer], [o[1] for o in ours]),
        "at least",
        goal,
        note=f"{study.training.rounds_per_cycle} rounds; NVFLARE {median(p[1] for p in peer):.1f} s"
        f", local {median(o[1] for o in ours):.1f} s; whole commands {commands:.2f} x",
    )


def peer_python() -> Path:
    """The interpreter of the peer's environment, made on first use.

    Raises:
        subprocess.CalledProcessError: it cannot be installed.
    """
    folder = ROOT / ".bench" / "nvflare-peer"
    python, mark = folder / "bin" / "python", folder / PEER
    if not mark.exists():
        print(f"installing {PEER} into {folder.relative_to(ROOT)} ...", flush=True)
        wanted = [PEER, f"numpy=={np.__version__}"]
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)  # noqa: S603 - our own command
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *wanted], check=True)  # noqa: S603 - our own command
        ours = f"{sysconfig.get_paths()['purelib']}\n{ROOT}\n"
        packages = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}"
        (packages / "site-packages" / "ours.pth").write_text(ours, encoding="utf-8")
        mark.touch()
    return python


def _write(study: Study, run: Path, work: Path) -> None:
    """The peer's share of a finished run: first weights, and every site's labeled images."""
    recipe = recipe_of(study, run)
    content = {f"first/{name}": array for name, array in recipe.weights.items()}
    for number, site in enumerate(recipe.cycles[0]):
        content |= {f"labeled-{number}": site.labeled, f"targets-{number}": site.targets}
    content["images"] = plan_of(study, "phantom", ["default"], [study.seed]).cases().images
    np.savez(work / "work.npz", **content)  # type: ignore[arg-type]  # numpy reads allow_pickle into it
    (work / "study.json").write_text(json.dumps(document(study)), encoding="utf-8")


def _simulated(python: Path, work: Path, study: Study) -> tuple[float, float]:
    """Seconds of the peer's whole command, and of its simulation alone."""
    job = str(Path(__file__).with_name("nvflare_job.py"))
    rounds = str(study.training.rounds_per_cycle)
    began = time.perf_counter()
    # -P: this folder's select.py must not stand in for the standard library's
    ended = subprocess.run(  # noqa: S603 - our own command
        [str(python), "-P", job, str(work), str(SITES), rounds],
        check=True,
        cwd=work,
        env=os.environ | THREADS | {"PYTHONSAFEPATH": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    return time.perf_counter() - began, float(ended.stdout.split()[-1])
