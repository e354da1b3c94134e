"""Twenty rounds on the local engine and on Flower's Ray engine, each in a process of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from protocol.study import Study
from simulations.benchmarks.goals import Line
from simulations.benchmarks.runs import bench_study, command, ratios
from simulations.plan import Task

WORKERS = 2


def against_ray(quick: bool, repeats: int) -> Iterator[Line]:
    """Both engines on two cores; Ray's start and end belong to its run."""
    sizes = (("tiny-cnn", 4, 5.0), ("resnet", 4, 2.5), ("resnet", 64, 1.3))
    for network, sites, goal in sizes[:1] if quick else sizes:
        study = bench_study(network, sites, 2 if quick else 20)
        yield _line(f"Ray over local, {network}, {sites} sites", study, goal, repeats)


def _line(what: str, study: Study, goal: float, repeats: int) -> Line:
    whole: dict[str, list[float]] = {"local": [], "ray": []}
    inside: dict[str, list[float]] = {"local": [], "ray": []}
    failed = ""
    with tempfile.TemporaryDirectory() as place:
        for i in range(repeats):
            folders = []
            for engine in whole:
                out = Path(place) / f"{engine}-{i}"
                took, run = command(study, out, "--engine", engine, "--workers", str(WORKERS))
                whole[engine].append(took)
                inside[engine].append(run)
                folders.append(Task(out, "default", study.seed).folder)
            if _results(folders[0]) != _results(folders[1]):
                failed = "the engines' results differ"
    commands = median(ratios(whole["ray"], whole["local"]))
    return Line(
        what,
        ratios(inside["ray"], inside["local"]),
        "at least",
        goal,
        note=f"{study.training.rounds_per_cycle} rounds, equal results; Ray "
        f"{median(inside['ray']):.1f} s, local {median(inside['local']):.1f} s; "
        f"whole commands, imports and report included, {commands:.2f} x",
        failed=failed,
    )


def _results(folder: Path) -> dict[str, bytes]:
    """What must be the same to the bit whatever the engine."""
    kept = [*folder.glob("models/*.safetensors"), *folder.glob("*.jsonl")]
    return {path.name: path.read_bytes() for path in kept}
