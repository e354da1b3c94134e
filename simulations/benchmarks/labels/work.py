"""Many runs: what is cached is left out, what fails is written down, the others go on."""

from __future__ import annotations

import argparse
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from simulations.benchmarks.labels.one import Job, run
from simulations.benchmarks.labels.results import Results
from simulations.processes import die_with_parent, single_thread

_NAMED = tuple(field.name for field in fields(Job))
"""What a run is called by, whatever code it was run with."""


def unknown(jobs: Sequence[Job], results: Results, *, older: bool = False) -> list[Job]:
    """The jobs whose line is not in the results yet.

    Args:
        jobs: all that is wanted.
        results: what is known.
        older: take a run of other code for known; the tables still hold it against the newest.
    """
    if older:
        there = {tuple(line[part] for part in _NAMED) for line in results.runs()}
        return [job for job in jobs if tuple(asdict(job)[part] for part in _NAMED) not in there]
    known = results.keys()
    return [job for job in jobs if (job.key(), job.arm, job.cell) not in known]


def worked(given: argparse.Namespace, jobs: Sequence[Job], results: Results) -> int:
    """How many of the jobs that are not known failed.

    What looks at the test split is written down before and after.

    Args:
        given: `older`, as for `unknown`, and `workers` and `scratch`, as for `work`.
        jobs: all that is wanted.
        results: what is known; it grows.

    Raises:
        ValueError: no job is wanted.
    """
    if not jobs:
        raise ValueError("no runs are asked for: accepted is one arm, seed and track or more")
    if given.scratch:
        given.scratch.mkdir(parents=True, exist_ok=True)
    todo = unknown(jobs, results, older=given.older)
    print(f"{len(jobs)} runs, {len(jobs) - len(todo)} of them known", flush=True)
    confirms = [job for job in jobs if job.scored_on == "test"] if todo else []
    told = {
        "track": ",".join(dict.fromkeys(job.track for job in confirms)),
        "cell": ",".join(dict.fromkeys(job.cell for job in confirms)),
        "seeds": _spelt(sorted({job.seed for job in confirms})),
        "arms": list(dict.fromkeys(job.arm for job in confirms)),
    }
    if confirms:
        results.add(confirmation("begun", told))
    failed = work(todo, results, given.workers, given.scratch)
    if confirms:
        results.add(confirmation("ended", told, failed))
    return failed


def _spelt(seeds: Sequence[int]) -> str:
    """Seeds as a range where they are one, else as a list."""
    if len(seeds) > 1 and seeds[-1] - seeds[0] == len(seeds) - 1:
        return f"{seeds[0]}-{seeds[-1]}"
    return ",".join(map(str, seeds))


def work(
    jobs: Sequence[Job], results: Results, workers: int = 1, scratch: Path | None = None
) -> int:
    """Do the jobs and add their lines; how many failed.

    A job that fails gets a line of kind "failed". With several workers lines come in any order;
    no number in them depends on it.
    """
    todo = list(jobs)
    print(f"{len(todo)} runs to do", flush=True)
    failed = 0
    for count, line in enumerate(_lines(todo, workers, scratch), 1):
        results.add(line)
        failed += line["kind"] == "failed"
        print(f"{count}/{len(todo)} {_words(line)}", flush=True)
    return failed


def _lines(jobs: Sequence[Job], workers: int, scratch: Path | None) -> Iterator[dict[str, Any]]:
    single_thread()
    if workers <= 1 or len(jobs) <= 1:
        for job in jobs:
            yield attempt(job, scratch)
        return
    fork = multiprocessing.get_context("fork")
    with fork.Pool(min(workers, len(jobs)), die_with_parent) as pool:
        yield from pool.imap_unordered(_attempt, [(job, scratch) for job in jobs])


def _attempt(given: tuple[Job, Path | None]) -> dict[str, Any]:
    single_thread()
    return attempt(*given)


def attempt(job: Job, scratch: Path | None = None) -> dict[str, Any]:
    """The job's line, of kind "failed" where it ended in an error."""
    try:
        return run(job, scratch)
    except Exception as error:  # one broken arm must not end a night's work
        said = f"{type(error).__name__}: {error}"
        return {"kind": "failed", **asdict(job), "when": now(), "error": said[:500]}


def confirmation(event: str, asked: dict[str, Any], failed: int = 0) -> dict[str, Any]:
    """A line that tells of a confirmation: begun, or ended."""
    line = {"kind": "confirmation", "event": event, "when": now(), "failed": failed}
    return line | asked | {"runner": os.getpid()}


def now() -> str:
    """Now, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _words(line: dict[str, Any]) -> str:
    name = f"{line['track']}/{line['cell']}/{line['scored_on']} {line['arm']} seed {line['seed']}"
    if line["kind"] == "failed":
        return f"{name}: FAILED {line['error']}"
    measured = line["cycles"][-1]["metrics"]["locked"]["pooled"]["auroc"][0]
    shown = "-" if measured is None else f"{measured:.4f}"
    return f"{name}: final {shown}, {line['wall']:.1f} s ({line['cpu']:.1f} s of processor)"
