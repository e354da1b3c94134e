"""Goals, what was measured against them, and the one table that every benchmark prints."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Literal, TypeAlias

Sense: TypeAlias = Literal["at most", "at least"]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table.

    Attributes:
        what: was measured.
        values: of each repeat; empty where it could not be measured.
        sense: whether the goal is a ceiling or a floor.
        goal: None where the number is only told.
        unit: behind the numbers.
        note: how it was measured, and whatever else belongs beside it.
        failed: a check beside the number that did not hold; it misses the goal by itself.
        judged: False for a quick run, which checks that the benchmark works and claims nothing.
    """

    what: str
    values: tuple[float, ...]
    sense: Sense
    goal: float | None
    unit: str = "x"
    note: str = ""
    failed: str = ""
    judged: bool = True

    @property
    def verdict(self) -> str:
        """Whether the goal was met, by the median of the repeats, in a word or two."""
        if self.failed:
            return f"MISSED: {self.failed}"
        if not self.values:
            return "skipped"
        if self.goal is None:
            return "told"
        if not self.judged:
            return "not judged"
        held = median(self.values) <= self.goal
        if self.sense == "at least":
            held = median(self.values) >= self.goal
        return "met" if held else "MISSED"

    @property
    def missed(self) -> bool:
        """Whether the benchmark ends with an error because of this line."""
        return self.verdict.startswith("MISSED")


def unjudged(lines: Sequence[Line]) -> list[Line]:
    """The same lines of a quick run."""
    return [replace(line, judged=False) for line in lines]


def table(lines: Sequence[Line]) -> str:
    """The lines for people to read."""
    wide = "{:<44} {:>26} {:>16}  {}"
    rows = [wide.format("", "median (min-max)", "goal", "")]
    for line in lines:
        goal = "" if line.goal is None else f"{line.sense} {line.goal:g} {line.unit}"
        rows.append(wide.format(line.what, _spread(line), goal, line.verdict))
        rows += [f"    {line.note}"] if line.note else []
    return "\n".join(rows)


def machine() -> str:
    """What the numbers were measured on, and how busy it was."""
    import torch

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, load {os.getloadavg()[0]:.1f}; "
        f"Python {platform.python_version()}, torch {torch.__version__}"
    )


def _processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _spread(line: Line) -> str:
    if not line.values:
        return "-"
    low, middle, high = min(line.values), median(line.values), max(line.values)
    return f"{middle:.2f} {line.unit} ({low:.2f}-{high:.2f})"
