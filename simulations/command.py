"""What `wardround simulate`, `compare` and `report` do, once they are called."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from daemons.terminal import check_format, print_json
from protocol.study import Study, StudyError
from simulations.plan import PlanError, plan_of
from simulations.results.board import write_board
from simulations.results.compare import compare
from simulations.results.comparison import Comparison
from simulations.results.outcomes import Choice
from simulations.results.report import write_report
from simulations.results.tables import to_json, to_table
from simulations.studies import committed
from simulations.watching import watching

MOST_SEEDS = 10_000
_QUIET = ("FLWR_TELEMETRY_ENABLED", "RAY_USAGE_STATS_ENABLED")


def run_simulation(
    study: Study,
    data: str,
    arms: Sequence[str],
    seeds: str,
    out: Path,
    options: Mapping[str, Any],
    form: str,
) -> None:
    """Simulate, then print the comparison and write the report."""
    check_format(form)
    for name in _QUIET:
        os.environ.setdefault(name, "0")
    for key, accepted in (("engine", ("local", "ray")), ("scored_on", ("test", "val"))):
        if options[key] not in accepted:
            option = f"--{key.replace('_', '-')}"
            raise PlanError(f"{option} {options[key]!r}: accepted is {' or '.join(accepted)}")
    file = options["start_file"]
    start = hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else ""
    plan = plan_of(study, data, arms, seed_list(seeds, study), start=start, **options)
    from simulations.simulate import simulate  # torch: only once the plan is known to be sound

    with watching(plan, quiet=form == "json") as watch:
        simulate(plan, out, watch)
    path = write_report([out], out / "report.html")
    board = write_board([out], out / "board.html")
    if form == "json":
        print_json(to_json(compare([out])) | {"report": str(path), "board": str(board)})
        return
    show(compare([out]))
    print(f"\nThe report: {path}\nFor a hospital's board: {board}")


def print_comparison(runs: Sequence[Path], metric: str, scope: str, form: str) -> None:
    """Compare runs on the terminal, or as JSON."""
    check_format(form)
    compared = compare(runs, Choice(metric=metric, scope=scope or None))
    if form == "json":
        print_json(to_json(compared))
    else:
        show(compared)


def print_report(runs: Sequence[Path], out: Path | None) -> None:
    """Write the report, and the page for a board beside it, and say where."""
    path = write_report(runs, out or runs[0] / "report.html")
    print(path)
    print(write_board(runs, path.with_name("board.html")))


def show(compared: Comparison) -> None:
    """The comparison as a table for people."""
    from rich.console import Console

    Console().print(to_table(compared))


def study_path(name: str) -> Path:
    """The study file of that path, or the committed one of that name.

    Raises:
        StudyError: neither is there.
    """
    path = Path(name)
    if frozen_weights(name):
        return path / "study.toml"
    if path.suffix == ".toml" or path.is_file():
        return path
    known = committed()
    if name not in known:
        raise StudyError(
            f"study {name!r}: accepted is a .toml file, a frozen folder or one of "
            f"{', '.join(sorted(known))}"
        )
    return known[name]


def frozen_weights(name: str) -> str:
    """The file of the first weights in a frozen study's folder; empty for any other study."""
    file = Path(name) / "weights.safetensors"
    return str(file) if file.is_file() and file.with_name("study.toml").is_file() else ""


def seed_list(text: str, study: Study) -> list[int]:
    """Seeds from "5" (five of them, from the study's own), "100-119" or "3,7".

    Raises:
        PlanError: anything else.
    """
    accepted, backwards = "a count (5), a range (100-119) or a list (3,7)", False
    try:
        if "-" in text:
            first, last = (int(part) for part in text.split("-"))
            backwards = last < first
            found = list(range(first, min(last, first + MOST_SEEDS) + 1))
        elif "," in text:
            found = [int(part) for part in text.split(",")]
        else:
            found = list(range(study.seed, study.seed + min(int(text), MOST_SEEDS + 1)))
    except ValueError:
        found = []
    if not found or min(found) < 0:
        why = "the range runs backwards; " if backwards else ""
        raise PlanError(f"--seeds {text!r}: {why}accepted is {accepted}")
    if len(found) > MOST_SEEDS:
        raise PlanError(f"--seeds {text!r}: accepted are at most {MOST_SEEDS} seeds")
    return found
