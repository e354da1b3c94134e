"""Finished runs read back from their directories, as frozen records.

A simulation's directory holds `simulation.json` and one directory `ARM/seed-N` per run; a run's
holds `run.json`, `study.toml` and `cycles.jsonl`, one evaluation per line.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

from pydantic import TypeAdapter

from simulations.arms import folder_name
from simulations.documents import NotARun, begun, read, typed
from simulations.results.records import Run, Runs, Simulation, is_bound

_RUN: TypeAdapter[Run] = TypeAdapter(Run)
_SIMULATION: TypeAdapter[Simulation] = TypeAdapter(Simulation)


def load(outs: Sequence[Path]) -> Runs:
    """The finished runs in simulation directories or single run directories.

    An arm that stands in several directories is one arm where the seeds differ and the studies
    agree; otherwise each copy takes its directory's name before its own.

    Raises:
        NotARun: a directory holds no simulation, is damaged, or no run in it has finished.
    """
    if not outs:
        raise NotARun("no directory given: accepted is at least one that a simulation wrote")
    loaded = [_load(out) for out in dict.fromkeys(Path(o).resolve() for o in outs)]
    runs = _named([(out, run) for out, _, runs, _ in loaded for run in runs])
    warnings = tuple(w for *_, lines in loaded for w in lines)
    if not runs:
        raise NotARun(
            f"no finished run in {', '.join(str(o) for o in outs)}: {'; '.join(warnings)}"
        )
    order = {arm: i for i, arm in enumerate(dict.fromkeys(r.arm for r in runs))}
    runs.sort(key=lambda r: (is_bound(r.arm), order[r.arm], r.seed))
    return Runs(tuple(simulation for _, simulation, _, _ in loaded), tuple(runs), warnings)


def asked_for(top: Path) -> Simulation:
    """What a simulation's directory says was asked for.

    Raises:
        NotARun: it does not say so.
    """
    path = top / "simulation.json"
    return typed(_SIMULATION, read(path), path)


def _load(out: Path) -> tuple[Path, Simulation, list[Run], list[str]]:
    """One directory: where its simulation is, what was asked, what finished, what did not."""
    single = (out / "run.json").is_file()
    top = out.parent.parent if single else out
    if not (top / "simulation.json").is_file():
        raise NotARun(
            f"{out} is no run directory: simulation.json cannot be read (No such file or directory)"
        )
    simulation = asked_for(top)
    asked = simulation.runs or product(simulation.arms, simulation.seeds)
    wanted = [top / folder_name(arm) / f"seed-{seed}" for arm, seed in asked]
    runs, warnings = [], []
    for path in [out] if single else wanted:
        name = f"{top.name}: arm {path.parent.name}, {path.name.replace('-', ' ')}"
        if not (path / "run.json").is_file():
            warnings.append(f"{name} was not begun and is left out")
        elif not begun(path).finished:
            warnings.append(f"{name} has not finished and is left out")
        else:
            runs.append(_run(path))
    return top, simulation, runs, warnings


def _run(path: Path) -> Run:
    """A finished run's directory."""
    document = read(path / "run.json")
    try:
        study = (path / "study.toml").read_text(encoding="utf-8")
        kind = tomllib.loads(study).get("task", {}).get("kind")
        lines = (path / "cycles.jsonl").read_text(encoding="utf-8").splitlines()
        cycles = [json.loads(line) for line in lines if line.strip()]
    except (OSError, ValueError) as error:
        raise NotARun(f"{path}: study.toml or cycles.jsonl cannot be read ({error})") from None
    more = {"study": study, "multi_label": kind == "multi-label", "cycles": cycles, "folder": path}
    run = typed(_RUN, {**document, "identity": document.get("study"), **more}, path)
    if [c.cycle for c in run.cycles] != list(range(-1, len(run.cycles) - 1)) or not run.evaluations:
        raise NotARun(
            f"{path}: cycles.jsonl holds cycles {[c.cycle for c in run.cycles]}, "
            "accepted is -1, 0, 1, ... without a gap"
        )
    return run


def _named(found: Sequence[tuple[Path, Run]]) -> list[Run]:
    """Runs whose (arm, seed) are unique: copies carry their directory's name."""
    named = []
    for arm in dict.fromkeys(run.arm for _, run in found):
        same = [(out, run) for out, run in found if run.arm == arm]
        distinct = len({run.seed for _, run in same}) == len(same)
        alike = len({rules(run.study) for _, run in same}) == 1
        tops = list(dict.fromkeys(out for out, _ in same))
        if len(tops) == 1 or (distinct and alike):
            named += [run for _, run in same]
            continue
        titles = _titles(tops)
        named += [replace(run, arm=f"{titles[out]}/{arm}") for out, run in same]
    return named


def _titles(tops: Sequence[Path]) -> dict[Path, str]:
    """A distinct name for each directory, its own where that is enough."""
    names = [top.name for top in tops]
    return {
        top: top.name if names.count(top.name) == 1 else f"{top.name}-{i + 1}"
        for i, top in enumerate(tops)
    }


def rules(study: str, without: Sequence[str] = ()) -> str:
    """What a study file fixes besides its name and seed, as comparable text.

    Args:
        study: the file's text.
        without: further keys to leave out, such as "query.strategy".
    """
    document = tomllib.loads(study)
    for key in ("name", "seed", *without):
        *tables, last = key.split(".")
        inner = document
        for table in tables:
            inner = inner.get(table, {})
        inner.pop(last, None)
    return json.dumps(document, sort_keys=True)
