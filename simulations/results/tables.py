"""A comparison as a versioned JSON document, and as a table on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from simulations.results import words
from simulations.results.attacked import attacked
from simulations.results.comparison import MEASURES, Comparison
from simulations.results.hours import taken
from simulations.results.outcomes import GOALS, Arm, Outcome, Summary
from simulations.results.page import Table as Content
from simulations.results.paired import Paired
from simulations.results.private import private
from strategies.metrics.table import METRICS

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

FORMAT = 1
"""Of the document, as every command's JSON says it."""


def to_json(comparison: Comparison) -> dict[str, Json]:
    """The comparison as plain values for `json.dumps`; null where there is no number."""
    runs = comparison.runs
    return {
        "format": FORMAT,
        "study": runs.simulations[0].study,
        "metric": comparison.choice.metric,
        "scope": comparison.scope,
        "split": comparison.choice.split,
        "seeds": list(runs.seeds),
        "readings_range": list(comparison.between) if comparison.between else None,
        "reference": comparison.reference,
        "arms": {arm.name: _arm(arm) for arm in comparison.arms},
        "paired": [_paired(pair) for pair in comparison.paired],
        "notes": list(comparison.notes),
    }


def _arm(arm: Arm) -> dict[str, Json]:
    """One arm: means over seeds with their intervals, and every seed."""
    document: dict[str, Json] = {"seeds": len(arm.outcomes)}
    for name in (*MEASURES, "aubc_without_audit", "share_of_bound"):
        found: Summary | None = getattr(arm, name)
        document[name] = found.mean if found else None
        document[f"{name}_interval"] = list(found.interval) if found and found.interval else None
    for goal in GOALS:
        reached, count = arm.reached(goal)
        percent = round(100 * goal)
        document[f"labels_to_{percent}"] = reached.labels if reached else None
        document[f"readings_to_{percent}"] = reached.readings if reached else None
        document[f"minutes_to_{percent}"] = reached.minutes if reached else None
        document[f"days_to_{percent}"] = reached.days if reached else None
        document[f"seeds_at_{percent}"] = count
        document[f"seeds_bounded_{percent}"] = arm.bounded(goal)
    document["by_seed"] = {str(o.seed): _outcome(o) for o in arm.outcomes}
    return document


def _outcome(outcome: Outcome) -> dict[str, Json]:
    """One run."""
    document: dict[str, Json] = {name: getattr(outcome, name) for name in MEASURES}
    for goal, reached in outcome.reached.items():
        document[f"labels_to_{round(100 * goal)}"] = reached.labels if reached else None
    return document | {
        "aubc_without_audit": outcome.aubc_without_audit,
        "readings": outcome.readings,
        "labels": outcome.labels,
        "minutes": outcome.minutes,
        "days": outcome.days,
        "class_shares": list(outcome.shares),
    }


def _paired(pair: Paired) -> dict[str, Json]:
    """One paired comparison."""
    return {
        "arm": pair.arm,
        "reference": pair.reference,
        "measure": pair.measure,
        "seeds": list(pair.seeds),
        "differences": list(pair.differences),
        "wins": pair.wins,
        "losses": pair.losses,
        "zeros": pair.zeros,
        "ties": pair.ties,
        "mean": pair.mean,
        "mean_interval": list(pair.mean_interval) if pair.mean_interval else None,
        "hodges_lehmann": pair.shift,
        "hodges_lehmann_interval": list(pair.shift_interval),
        "hodges_lehmann_coverage": pair.shift_coverage,
        "sign_p": pair.sign_p,
        "wilcoxon_p": pair.wilcoxon_p,
        "holm_p": pair.holm_p,
        "smallest_p": pair.smallest_p,
        "exploratory": pair.exploratory,
        "seeds_needed": pair.seeds_needed,
    }


def to_table(comparison: Comparison) -> Group:
    """The comparison for a rich console: findings, arms, paired differences, notes."""
    from rich.console import Group
    from rich.text import Text

    parts: list[Text | Table] = [Text(line) for line in words.headline(comparison)]
    parts.append(_arms_table(comparison))
    if comparison.paired:
        parts.append(_paired_table(comparison))
    parts.append(_plain(taken(comparison), "what a target took"))
    if (found := attacked(comparison)) is not None:
        parts.append(_plain(found, "one dishonest site, honest → attacked"))
    if (spent := private(comparison)) is not None:
        parts.append(_plain(spent, "privacy spent"))
    parts += [Text(f"note: {note}") for note in comparison.notes]
    return Group(*parts)


def _plain(content: Content, title: str) -> Table:
    """A table of the report on a terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for head in content.head:
        table.add_column(head, overflow="fold")
    for row in content.rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def _arms_table(comparison: Comparison) -> Table:
    """One row for each arm."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    label = METRICS[comparison.choice.metric].label
    table = Table(title=words.measure(comparison), title_justify="left", box=SIMPLE_HEAD)
    heads = ("arm", f"mean {label} over the budget", "at the end", "of bound", "labels to 98 %")
    for head in (*heads, "worst site", "reader minutes"):
        table.add_column(head, overflow="fold")
    for arm in comparison.arms:
        minutes = sum(o.minutes for o in arm.outcomes) / len(arm.outcomes)
        cells = (
            arm.name,
            "-" if arm.is_bound else words.summary(arm.aubc),
            words.summary(arm.final),
            "bound" if arm.is_bound else words.percent(arm.share_of_bound),
            "-" if arm.is_bound else words.reached(arm, GOALS[0]),
            words.number(arm.worst_final.mean if arm.worst_final else None),
            f"{minutes:,.0f}",
        )
        table.add_row(*(Text(cell.replace(" (", "\n(")) for cell in cells))
    return table


def _paired_table(comparison: Comparison) -> Table:
    """One row for each measure and arm."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    title = f"paired differences to {comparison.reference}"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for head in ("", "arm", "mean (95 %)", "better", "p (Holm)", "verdict"):
        table.add_column(head, overflow="fold")
    for pair in comparison.paired:
        cells = (
            MEASURES[pair.measure],
            pair.arm,
            f"{words.signed(pair.mean)} ({words.between(pair.mean_interval, True)})",
            f"{pair.wins} of {len(pair.seeds)}",
            words.p_value(pair.holm_p),
            words.mark(pair),
        )
        table.add_row(*(Text(cell.replace(" (", "\n(")) for cell in cells))
    return table
