"""The tables of a cell: what each arm reached against random, and what it cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from simulations.benchmarks.labels.figures import Figures
from simulations.benchmarks.labels.shown import against, head, mean, row
from simulations.results.outcomes import Arm


def gains(numbers: Figures) -> Iterator[str]:
    """The table of what was reached, best AUBC first, the bound last."""
    held = ("gain", "wins", "p", "verdict") if numbers.aubc else ()
    yield from head(
        *("arm", "n", "AUBC", *held, "final", "of full", "98 %", "99 %", "worst site"),
        *("log-loss", "worst log-loss", "rarest class"),
    )
    for arm in _ranked(numbers):
        loss = next(x for x in numbers.losses if x.name == arm.name)
        paired = numbers.aubc.get(arm.name)
        cells = [
            f"`{arm.name}`",
            str(len(arm.outcomes)),
            "-" if arm.is_bound else mean(arm.aubc),
            *(against(paired) if held else ()),
            mean(arm.final),
            "-" if arm.is_bound or not arm.share_of_bound else f"{arm.share_of_bound.mean:.1%}",
            *(_reached(arm, share) for share in (0.98, 0.99)),
            mean(arm.worst_final),
            mean(loss.final),
            mean(loss.worst_final),
            _rarest(arm),
        ]
        yield row(cells)


BY = 72
"""Labels by which track B is to hold 98 % of the bound, in 80 % of the seeds."""

COLUMNS = f"""\
The table of the end is of the last evaluation, each arm against `random`: final AUROC, that of the
worst site, and the worst site's log-loss, where less is better; each with its own wins, p
(Holm-corrected over the arms of that measure) and verdict. *By {BY} labels* is the share of seeds,
of those with a bound, that reach 98 % of it with {BY} labels or fewer and hold it at the next
evaluation, too.
"""


def ends(numbers: Figures) -> Iterator[str]:
    """The table of the last evaluation against the reference, in the order of `gains`."""
    yield "At the end, against `random`:\n"
    tested = ("wins", "p", "verdict")
    yield from head(
        *("arm", "final, more", *tested, "worst site, more", *tested),
        *("worst log-loss, more", *tested, f"by {BY} labels"),
    )
    for arm in _ranked(numbers):
        if arm.is_bound:
            continue
        yield row(
            [
                f"`{arm.name}`",
                *against(numbers.final.get(arm.name)),
                *against(numbers.worst.get(arm.name)),
                *against(numbers.worst_loss.get(arm.name), lower_is_better=True),
                _early(arm),
            ]
        )


def early(arm: Arm, labels: int = BY, share: float = 0.98) -> tuple[int, int]:
    """In how many seeds so many labels held that share of the bound, and of how many."""
    found = [o.reached[share] for o in arm.outcomes if share in o.reached]
    return sum(r is not None and r.labels <= labels for r in found), len(found)


def _early(arm: Arm) -> str:
    count, told = early(arm)
    return f"{count / told:.0%} ({count}/{told})" if told else "-"


def _ranked(numbers: Figures) -> list[Arm]:
    return sorted(numbers.arms, key=lambda a: (a.is_bound, -(a.aubc.mean if a.aubc else 0)))


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
    if arm.is_bound or not arm.bounded(share):
        return "-"
    found, count = arm.reached(share)
    words = "never" if found is None else str(found.labels)
    return f"{words} ({count}/{arm.bounded(share)})"


def _rarest(arm: Arm) -> str:
    """The mean share, among its labels, of the class that has fewest there."""
    shares: Sequence[float] = [min(o.shares) for o in arm.outcomes if o.shares]
    return f"{sum(shares) / len(shares):.0%}" if shares else "-"
