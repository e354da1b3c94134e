"""The label-efficiency benchmark.

    python -m simulations.benchmarks.labels --track A --seeds 0-4 --arms random,coreset --split val
    python -m simulations.benchmarks.labels --everything        the screen, then the page
    python -m simulations.benchmarks.labels --quick             a check in minutes, no page
    python -m simulations.benchmarks.labels --page              the page from what is known

Runs that the results file has are not run again: the same command goes on where it was ended. Only
--everything and --page write the committed page; other runs print their tables. A table of the page
that was written from more runs than the results file has stays as it is.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from daemons.terminal import Refused
from simulations.arms import names_of
from simulations.benchmarks.labels.code import ROOT
from simulations.benchmarks.labels.one import Job
from simulations.benchmarks.labels.page import page, tables
from simulations.benchmarks.labels.programme import everything, quick
from simulations.benchmarks.labels.recipe import CELLS
from simulations.benchmarks.labels.results import Results
from simulations.benchmarks.labels.summary import SUMMARY, measured, summary, written
from simulations.benchmarks.labels.tracks import TRACKS, check_seed
from simulations.benchmarks.labels.work import worked
from simulations.benchmarks.pages import published

PAGE = ROOT / "docs" / "benchmarks-labels.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """0 done, 1 something failed, 2 bad input."""
    given = _parser().parse_args(arguments)
    results = Results(given.results)
    if given.quick:
        results = Results(given.results.with_name("quick.jsonl"))
    try:
        jobs = [] if given.page else _jobs(given)
        failed = 0 if given.page else worked(given, jobs, results)
    except (ValueError, FileNotFoundError, Refused) as refused:
        print(refused, file=sys.stderr)
        return 2
    if jobs:
        print(tables(results, {(job.track, job.cell, job.scored_on) for job in jobs}))
    if (given.page or given.everything) and not published(_pages(results), results):
        return 2
    return int(failed > 0)


def _pages(results: Results) -> dict[Path, str]:
    """The committed files as they are to be."""
    before = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    told = summary(results, measured(SUMMARY))
    return {PAGE: page(results, before, told), SUMMARY: written(told)}


def _jobs(given: argparse.Namespace) -> list[Job]:
    if given.quick:
        return quick()
    return everything() if given.everything else asked(given)


def asked(given: argparse.Namespace) -> list[Job]:
    """The runs of a command line, seed by seed.

    Raises:
        ValueError: a seed that the split does not allow, or an arm that names nothing.
    """
    seeds = numbers(given.seeds)
    for seed in seeds:
        check_seed(seed, given.split)
    if given.cell not in CELLS:
        raise ValueError(f"--cell {given.cell!r}: accepted is one of {', '.join(CELLS)}")
    for track in names_of(given.track):
        if track not in TRACKS:
            raise ValueError(f"--track {track!r}: accepted is one of {', '.join(TRACKS)}")
    file = str(given.file.resolve()) if given.file else ""
    jobs = [
        Job(track, given.cell, given.split, arm, seed, file)
        for track in names_of(given.track)
        for seed in seeds
        for arm in names_of(given.arms)
    ]
    for job in jobs:
        job.study()  # refuse before the first run
    return jobs


def numbers(text: str) -> list[int]:
    """Seeds from "0-4" or "0,3,7".

    Raises:
        ValueError: anything else.
    """
    try:
        if "-" in text:
            first, last = (int(part) for part in text.split("-"))
            found = list(range(first, last + 1))
        else:
            found = [int(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found:
        raise ValueError(f"--seeds {text!r}: accepted is a range (0-4) or a list (0,3,7)")
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m simulations.benchmarks.labels",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--track", default="A", help=f"of {', '.join(TRACKS)}, with commas")
    parser.add_argument("--cell", default="selectors", help=f"one of {', '.join(CELLS)}")
    parser.add_argument("--arms", default="random,coreset", help="as wardround simulate takes them")
    parser.add_argument("--seeds", default="0-4", help="a range or a list")
    parser.add_argument("--split", default="val", choices=("val", "test"), help="scored on")
    parser.add_argument("--file", type=Path, help="of track D: any MedMNIST file")
    parser.add_argument("--workers", type=int, default=1, help="runs side by side")
    parser.add_argument("--scratch", type=Path, help="folder for the runs' databases")
    parser.add_argument(
        "--results", type=Path, default=ROOT / ".bench" / "labels" / "results.jsonl", help="file"
    )
    parser.add_argument("--older", action="store_true", help="runs of older code count as known")
    parser.add_argument("--everything", action="store_true", help="the whole programme")
    parser.add_argument("--quick", action="store_true", help="a check, not a claim")
    parser.add_argument("--page", action="store_true", help="only write the page")
    return parser


if __name__ == "__main__":
    sys.exit(main())
