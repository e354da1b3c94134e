"""The tables of a cell: what each arm reached against random, and what it cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from simulations.benchmarks.labels.figures import Figures
from simulations.benchmarks.labels.shown import against, head, mean, row
from simulations.results.outcomes import Arm


def gains(numbers: Figures) -> Iterator[str]:
    """The table of what was reached, best AUBC first, the bound last."""
    yield from head(
        *("arm", "n", "AUBC", "gain", "wins", "p", "verdict", "final", "of full", "98 %", "99 %"),
        *("worst site", "worst log-loss", "rarest class"),
    )
    for arm in sorted(numbers.arms, key=lambda a: (a.is_bound, -(a.aubc.mean if a.aubc else 0))):
        loss = next(x for x in numbers.losses if x.name == arm.name)
        paired = numbers.aubc.get(arm.name)
        cells = [
            f"`{arm.name}`",
            str(len(arm.outcomes)),
            "-" if arm.is_bound else mean(arm.aubc),
            *against(paired),
            mean(arm.final),
            "-" if arm.is_bound or not arm.share_of_bound else f"{arm.share_of_bound.mean:.1%}",
            *(_reached(arm, share) for share in (0.98, 0.99)),
            mean(arm.worst_final),
            mean(loss.worst_final),
            _rarest(arm),
        ]
        yield row(cells)


def costs(numbers: Figures) -> Iterator[str]:
    """The table of what the arms cost."""
    yield from head("arm", "query s", "score s", "physician minutes", "MB sent", "run s")
    for arm in numbers.arms:
        cost = numbers.costs[arm.name]
        yield (
            f"| `{arm.name}` | {cost.query:.2f} | {cost.report:.2f} | {cost.minutes:.0f} | "
            f"{cost.megabytes:.0f} | {cost.wall:.0f} |"
        )


def _reached(arm: Arm, share: float) -> str:
    if arm.is_bound or not any(share in o.reached for o in arm.outcomes):
        return "-"
    found, count = arm.reached(share)
    words = "never" if found is None else str(found.labels)
    return f"{words} ({count}/{len(arm.outcomes)})"


def _rarest(arm: Arm) -> str:
    """The mean share, among its labels, of the class that has fewest there."""
    shares: Sequence[float] = [min(o.shares) for o in arm.outcomes if o.shares]
    return f"{sum(shares) / len(shares):.0%}" if shares else "-"
