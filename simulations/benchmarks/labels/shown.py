"""What the tables of the label benchmark share: a row, a verdict, a mean with its interval."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from simulations.benchmarks.labels.figures import CLAIMED
from simulations.results.outcomes import Summary
from simulations.results.paired import LEVEL, Paired


def head(*names: str) -> Iterator[str]:
    """The first two lines of a table."""
    yield row(names)
    yield "| --- " * len(names) + "|"


def row(cells: Sequence[str]) -> str:
    """One line of a table."""
    return f"| {' | '.join(cells)} |"


def verdict(
    paired: Paired,
    words: tuple[str, str, str] = ("win", "tie", "lose"),
    *,
    lower_is_better: bool = False,
) -> str:
    """Better, neither or worse by the corrected test; exploratory with fewer than 20 pairs."""
    if len(paired.seeds) < CLAIMED:
        return "exploratory"
    if paired.holm_p >= LEVEL:
        return words[1]
    return words[0] if (paired.shift > 0) != lower_is_better else words[2]


def shift(paired: Paired) -> str:
    """The Hodges-Lehmann shift with its interval."""
    low, high = paired.shift_interval
    return f"{paired.shift:+.4f} ({low:+.4f} to {high:+.4f})"


def chance(paired: Paired) -> str:
    """The corrected p."""
    return f"{paired.holm_p:.3f}" if paired.holm_p >= 0.001 else "< 0.001"


def against(paired: Paired | None, *, lower_is_better: bool = False) -> list[str]:
    """Four cells: the shift, pairs won, the corrected p, the verdict."""
    if paired is None:
        return ["-", "-", "-", "-"]
    return [
        shift(paired),
        f"{paired.wins}/{len(paired.seeds)}",
        chance(paired),
        verdict(paired, lower_is_better=lower_is_better),
    ]


def mean(summary: Summary | None) -> str:
    """A mean with half its interval: what is below the mean, where a metric's top cuts it."""
    if summary is None:
        return "-"
    if summary.interval is None:
        return f"{summary.mean:.4f}"
    low, high = summary.interval
    return f"{summary.mean:.4f} ± {max(summary.mean - low, high - summary.mean):.4f}"
