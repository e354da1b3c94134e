"""What the label benchmark has measured, small enough to commit: the strategies' pages read it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from simulations.benchmarks.labels.figures import figures
from simulations.benchmarks.labels.page import Group, grouped
from simulations.benchmarks.labels.policies import policies
from simulations.benchmarks.labels.results import Results
from simulations.benchmarks.labels.shown import verdict
from simulations.benchmarks.pages import counts

SUMMARY = Path(__file__).with_name("measured.json")
"""Committed; written together with the benchmark's page."""

_DIGITS = 4


def summary(results: Results) -> dict[str, Any]:
    """Every arm's gain over random and every policy's over uniform, by track, cell and split."""
    arms: list[dict[str, Any]] = []
    shared: list[dict[str, Any]] = []
    for group in grouped(results):
        where = {"track": group.track.name, "title": group.track.title}
        where |= {"cell": group.cell, "split": group.scored_on}
        arms += [where | line for line in _arms(group)]
        strategies = dict.fromkeys(
            str(x["arm"]).partition("@")[0] for x in group.lines if "@" in str(x["arm"])
        )
        for strategy in strategies:
            shared += [where | line for line in _policies(group, strategy)]
    runs, confirmations = counts(results)
    told = {"runs": runs, "confirmations": confirmations}  # pages.stated reads them
    return {"format": 1, **told, "arms": arms, "policies": shared}


def _arms(group: Group) -> list[dict[str, Any]]:
    numbers = figures(group.track, group.lines)
    found = []
    for arm in numbers.arms:
        paired = numbers.aubc.get(arm.name)
        if paired is None:
            continue
        low, high = paired.shift_interval
        found.append(
            {
                "arm": arm.name,
                "seeds": len(paired.seeds),
                "gain": _rounded((paired.shift, low, high)),
                "verdict": verdict(paired),
                "query_seconds": round(numbers.costs[arm.name].query, 2),
            }
        )
    return found


def _policies(group: Group, strategy: str) -> list[dict[str, Any]]:
    found = []
    for arm, numbers in policies(group.track, group.lines, strategy).items():
        found.append(
            {
                "strategy": strategy,
                "policy": arm.partition("@")[2],
                "seeds": len(numbers.paired.seeds),
                "mean": round(numbers.paired.mean, _DIGITS),
                "lower": _rounded_or_none(numbers.lower, _DIGITS),
                "worst_loss": _rounded_or_none(numbers.final_loss, _DIGITS),
                "safe": numbers.safe,
                "moved": round(numbers.moved, 3),
                "saved": None if numbers.saved is None else str(numbers.saved),
            }
        )
    return found


def _rounded_or_none(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(v, _DIGITS) for v in values]


def written(results: Results) -> str:
    """The summary as the text of its file; the same results, the same bytes."""
    return json.dumps(summary(results), indent=1, sort_keys=True) + "\n"


def measured() -> Mapping[str, Any]:
    """What is committed; empty lists where nothing was measured."""
    if not SUMMARY.exists():
        return {"format": 1, "arms": [], "policies": []}
    known: dict[str, Any] = json.loads(SUMMARY.read_text(encoding="utf-8"))
    return known
