"""The benchmark of attacks.

    python -m simulations.benchmarks.attacks                    everything, then the page
    python -m simulations.benchmarks.attacks --quick            a check in minutes, no page
    python -m simulations.benchmarks.attacks --seeds 0-2 --rules fedavg,median --attacks scale
    python -m simulations.benchmarks.attacks --page             the page from what is known

Runs that the results file has are not run again: the same command goes on where it was ended. Runs
of --seeds print the page, and leave the committed one as it is.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from simulations.arms import known_names
from simulations.benchmarks.attacks.masks import masks
from simulations.benchmarks.attacks.page import page
from simulations.benchmarks.attacks.programme import (
    ON_UPDATES,
    RULES,
    budgets,
    everything,
    quick,
    updates,
)
from simulations.benchmarks.labels.__main__ import numbers
from simulations.benchmarks.labels.code import ROOT
from simulations.benchmarks.labels.one import Job
from simulations.benchmarks.labels.results import Results
from simulations.benchmarks.labels.tracks import NoData
from simulations.benchmarks.labels.work import worked
from simulations.benchmarks.pages import published

PAGE = ROOT / "docs" / "benchmarks-attacks.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """0 done, 1 something failed, 2 bad input."""
    given = _parser().parse_args(arguments)
    results = Results(given.results.with_name("quick.jsonl") if given.quick else given.results)
    try:
        failed = 0 if given.page else worked(given, _jobs(given), results)
        if given.masks or not (given.page or given.seeds or given.quick):
            for line in masks():
                results.add(line)
    except (ValueError, NoData) as refused:
        print(refused, file=sys.stderr)
        return 2
    if given.quick or given.seeds:
        print(page(results))
    elif not published({PAGE: page(results)}, results):
        return 2
    return int(failed > 0)


def _jobs(given: argparse.Namespace) -> list[Job]:
    """What is asked for.

    Raises:
        ValueError: a rule or an attack that is not there, or one of them without seeds.
    """
    rules, attacks = (
        known_names("rule", given.rules, RULES),
        known_names("attack", given.attacks, ON_UPDATES),
    )
    if given.quick:
        return quick()
    if not given.seeds:
        if given.budgets or (rules, attacks) != (list(RULES), list(ON_UPDATES)):
            raise ValueError("a part of the table without --seeds: accepted is with --seeds alone")
        return everything()
    seeds = numbers(given.seeds)
    if given.budgets:
        return budgets(seeds)
    return updates(seeds, rules, attacks)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m simulations.benchmarks.attacks",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="a check, not a claim")
    parser.add_argument("--page", action="store_true", help="only write the page")
    parser.add_argument("--seeds", default="", help="a range or a list; 100-119 use the test split")
    parser.add_argument("--rules", default=",".join(RULES), help="with commas")
    parser.add_argument("--attacks", default=",".join(ON_UPDATES), help="with commas")
    parser.add_argument("--budgets", action="store_true", help="those of the inflating site")
    parser.add_argument("--masks", action="store_true", help="and what SecAgg+ costs")
    parser.add_argument("--older", action="store_true", help="runs of older code count as known")
    parser.add_argument("--workers", type=int, default=1, help="runs side by side")
    parser.add_argument("--scratch", type=Path, help="folder for the runs' databases")
    parser.add_argument(
        "--results", type=Path, default=ROOT / ".bench" / "attacks" / "results.jsonl", help="file"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
