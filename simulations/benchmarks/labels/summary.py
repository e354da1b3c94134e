"""What the label benchmark has measured, small enough to commit: the strategies' pages read it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from simulations.benchmarks.labels.figures import figures
from simulations.benchmarks.labels.kept import Key, kept
from simulations.benchmarks.labels.page import Group, grouped, place
from simulations.benchmarks.labels.policies import policies
from simulations.benchmarks.labels.results import Results
from simulations.benchmarks.labels.shown import verdict

SUMMARY = Path(__file__).with_name("measured.json")
"""Committed; written together with the benchmark's page."""

_DIGITS = 4

_NOTHING: Mapping[str, Any] = {"format": 2, "tables": [], "arms": [], "policies": []}


def summary(results: Results, before: Mapping[str, Any] = _NOTHING) -> dict[str, Any]:
    """Every arm's gain over random and every policy's over uniform, by track, cell and split.

    Args:
        results: what is known here.
        before: the summary as it is; what stays of it is what stays of the page.
    """
    groups = {group.key: group for group in grouped(results)}
    counts = {key: len(group.lines) for key, group in groups.items()}
    old = {_key(line): line["runs"] for line in before["tables"]}
    stay = kept(old, counts)
    arms = [line for line in before["arms"] if _key(line) in stay]
    shared = [line for line in before["policies"] if _key(line) in stay]
    tables = {key: runs for key, runs in old.items() if key in stay}
    for key, group in groups.items():
        if key in stay:
            continue
        tables[key] = counts[key]
        where = {"track": group.track.name, "title": group.track.title}
        where |= {"cell": group.cell, "split": group.scored_on}
        arms += [where | line for line in _arms(group)]
        strategies = dict.fromkeys(
            str(x["arm"]).partition("@")[0] for x in group.lines if "@" in str(x["arm"])
        )
        for strategy in strategies:
            shared += [where | line for line in _policies(group, strategy)]
    told = [
        {"split": split, "track": track, "cell": cell, "runs": runs}
        for (split, track, cell), runs in sorted(tables.items(), key=lambda item: place(item[0]))
    ]
    return {
        "format": 2,
        "tables": told,
        "arms": sorted(arms, key=lambda line: place(_key(line))),
        "policies": sorted(shared, key=lambda line: place(_key(line))),
    }


def _key(line: Mapping[str, Any]) -> Key:
    return line["split"], line["track"], line["cell"]


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
                "moved": round(numbers.moved, _DIGITS),
                "saved": None if numbers.saved is None else str(numbers.saved),
            }
        )
    return found


def _rounded_or_none(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(v, _DIGITS) for v in values]


def written(results: Results, before: Mapping[str, Any] = _NOTHING) -> str:
    """The summary as the text of its file; the same results, the same bytes."""
    return json.dumps(summary(results, before), indent=1, sort_keys=True) + "\n"


def measured(path: Path = SUMMARY) -> Mapping[str, Any]:
    """What is committed; empty lists where nothing was measured."""
    if not path.exists():
        return _NOTHING
    known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return known
