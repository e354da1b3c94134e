"""The benchmark of what privacy costs.

    python -m simulations.benchmarks.privacy                    everything, then the page
    python -m simulations.benchmarks.privacy --quick            a check in a minute, no page
    python -m simulations.benchmarks.privacy --try --networks mlp --labels 264 --epsilons 8,2
                                                                a grid on validation images
    python -m simulations.benchmarks.privacy --page             the page from what is known

Runs that the results file has are not run again: the same command goes on where it was ended. A
part of the table prints the page, and leaves the committed one as it is.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from simulations.arms import known_names
from simulations.benchmarks.labels.code import ROOT
from simulations.benchmarks.labels.one import Job
from simulations.benchmarks.labels.results import Results
from simulations.benchmarks.labels.tracks import NoData
from simulations.benchmarks.labels.work import worked
from simulations.benchmarks.pages import published
from simulations.benchmarks.privacy.page import page
from simulations.benchmarks.privacy.programme import (
    EPSILONS,
    LABELS,
    NETWORKS,
    quick,
    table,
    tried,
)

PAGE = ROOT / "docs" / "benchmarks-privacy.md"

_WHOLE = tuple(",".join(map(str, names)) for names in (NETWORKS, LABELS, EPSILONS))


def main(arguments: Sequence[str] | None = None) -> int:
    """0 done, 1 something failed, 2 bad input."""
    given = _parser().parse_args(arguments)
    results = Results(given.results.with_name("quick.jsonl") if given.quick else given.results)
    try:
        failed = 0 if given.page else worked(given, _jobs(given), results)
    except (ValueError, NoData) as refused:
        print(refused, file=sys.stderr)
        return 2
    if given.quick or not (given.page or _whole(given)):
        print(page(results))
    elif not published({PAGE: page(results)}, results):
        return 2
    return int(failed > 0)


def _whole(given: argparse.Namespace) -> bool:
    """Whether the whole table is asked for, and neither a check nor a part."""
    parts = (given.networks, given.labels, given.epsilons)
    part = parts != _WHOLE or given.first is not None
    return not (given.quick or given.grid or part)


def _jobs(given: argparse.Namespace) -> list[Job]:
    """What is asked for.

    Raises:
        ValueError: a network, a number of labels or an epsilon that is not in the table, or fewer
            seeds than one.
    """
    if given.first is not None and given.first < 1:
        raise ValueError(f"--first {given.first}: accepted is 1 or more")
    if given.quick:
        return quick()
    named = {str(epsilon): epsilon for epsilon in EPSILONS}
    epsilons = [named[name] for name in known_names("--epsilons", given.epsilons, named)]
    networks = known_names("--networks", given.networks, NETWORKS)
    labels = known_names("--labels", given.labels, LABELS)
    jobs = (tried if given.grid else table)(networks, labels, epsilons)
    seeds = list(dict.fromkeys(job.seed for job in jobs))[: given.first]
    return [job for job in jobs if job.seed in seeds]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m simulations.benchmarks.privacy",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="a check, not a claim")
    parser.add_argument("--page", action="store_true", help="only write the page")
    parser.add_argument("--try", dest="grid", action="store_true", help="on validation images")
    parser.add_argument("--networks", default=_WHOLE[0], help="with commas")
    parser.add_argument("--labels", default=_WHOLE[1], help="with commas")
    parser.add_argument("--epsilons", default=_WHOLE[2], help="with commas")
    parser.add_argument("--first", type=int, help="so many of the seeds; all without it")
    parser.add_argument("--older", action="store_true", help="runs of older code count as known")
    parser.add_argument("--workers", type=int, default=1, help="runs side by side")
    parser.add_argument("--scratch", type=Path, help="folder for the runs' databases")
    parser.add_argument(
        "--results", type=Path, default=ROOT / ".bench" / "privacy" / "results.jsonl", help="file"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
