"""A benchmark's committed pages: they say what they were written from, and never from less."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

from simulations.benchmarks.labels.results import Results

_SENTENCE = re.compile(r"^Written from (\d+) runs and (\d+) lines of confirmations\.$", re.M)


def counts(results: Results) -> tuple[int, int]:
    """The finished runs, and the lines that tell of confirmations."""
    return len(results.runs()), len(results.of("confirmation"))


def origin(results: Results) -> str:
    """The sentence that a page must have; `stated` reads it."""
    runs, confirmations = counts(results)
    return f"Written from {runs} runs and {confirmations} lines of confirmations.\n"


def stated(text: str) -> tuple[int, int]:
    """The runs and lines of confirmations that a page says it is of, or 0."""
    found = _SENTENCE.search(text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def published(pages: Mapping[Path, str], results: Results) -> bool:
    """Whether every page was written; if none was, the terminal is told why.

    The results must have a run, and as many runs and confirmations as each page that is there says
    it was written from.
    """
    runs, confirmations = counts(results)
    for path in pages:
        before = stated(path.read_text(encoding="utf-8")) if path.exists() else (0, 0)
        if not runs or runs < before[0] or confirmations < before[1]:
            print(
                f"{path.name} stays as it is: {results.path.name} has {runs} runs and "
                f"{confirmations} lines of confirmations, and the page was written from "
                f"{before[0]} and {before[1]}; accepted is a file with at least as many, and a run",
                file=sys.stderr,
            )
            return False
    for path, text in pages.items():
        path.write_text(text, encoding="utf-8")
    print(f"Written: {', '.join(path.name for path in pages)}")
    return True
