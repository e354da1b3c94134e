"""What the label benchmark has measured, small enough to commit: the strategies' pages read it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from simulations.benchmarks.labels.figures import Figures, figures
from simulations.benchmarks.labels.gained import early
from simulations.benchmarks.labels.kept import NOTHING, Key, kept
from simulations.benchmarks.labels.minutes import Saved
from simulations.benchmarks.labels.ours import DUEL, duels
from simulations.benchmarks.labels.page import Group, grouped, place
from simulations.benchmarks.labels.policies import policies
from simulations.benchmarks.labels.results import Results
from simulations.benchmarks.labels.shown import verdict
from simulations.results.outcomes import Arm, Summary

SUMMARY = Path(__file__).with_name("measured.json")
"""Committed; written together with the benchmark's page."""

_DIGITS = 4


def summary(results: Results, before: Mapping[str, Any] = NOTHING) -> dict[str, Any]:
    """Every arm's gain over random and every policy's over uniform, by track, cell and split.

    Args:
        results: what is known here.
        before: the summary as it is; what stays of it is what stays of the page.
    """
    groups = {group.key: group for group in grouped(results)}
    counts = {key: group.runs for key, group in groups.items()}
    old = {_key(line): line["runs"] for line in before["tables"]}
    stay = kept(old, counts)
    arms = [line for line in before["arms"] if _key(line) in stay]
    shared = [line for line in before["policies"] if _key(line) in stay]
    tables = [line for line in before["tables"] if _key(line) in stay]
    for key, group in groups.items():
        if key in stay:
            continue
        numbers = figures(group.track, group.lines)
        split, track, cell = key
        told = {"split": split, "track": track, "cell": cell, "runs": group.runs}
        tables.append(told | {"full": _full(numbers)})
        where = {"track": group.track.name, "title": group.track.title}
        where |= {"cell": group.cell, "split": group.scored_on}
        arms += [where | line for line in _arms(numbers)]
        strategies = dict.fromkeys(
            str(x["arm"]).partition("@")[0] for x in group.lines if "@" in str(x["arm"])
        )
        for strategy in strategies:
            shared += [where | line for line in _policies(group, strategy)]
    return {
        "format": 3,
        "tables": sorted(tables, key=lambda line: place(_key(line))),
        "arms": sorted(arms, key=lambda line: place(_key(line))),
        "policies": sorted(shared, key=lambda line: place(_key(line))),
    }


def _key(line: Mapping[str, Any]) -> Key:
    return line["split"], line["track"], line["cell"]


def _full(numbers: Figures) -> dict[str, float | None] | None:
    """What the supervised bound has at its end; None where it was not run."""
    full = next((arm for arm in numbers.arms if arm.is_bound), None)
    if full is None:
        return None
    return {"final": _mean(full.final), "worst": _mean(full.worst_final)}


def _arms(numbers: Figures) -> list[dict[str, Any]]:
    against = {p.reference: verdict(p, DUEL) for p in duels(numbers.arms, "aubc")}
    held = [arm for arm in numbers.arms if arm.name in numbers.aubc]
    return [_arm(numbers, arm, against.get(arm.name)) for arm in held]


def _arm(numbers: Figures, arm: Arm, against: str | None) -> dict[str, Any]:
    """One arm's line; `early` as `gained.early` counts it, `ours` the verdict over it by AUBC."""
    paired, cost = numbers.aubc[arm.name], numbers.costs[arm.name]
    loss = numbers.worst_loss.get(arm.name)
    return {
        "arm": arm.name,
        "seeds": len(paired.seeds),
        "aubc": _mean(arm.aubc, 6),  # where all arms are near 1 they rank by the fifth digit
        "final": _mean(arm.final),
        "worst": _mean(arm.worst_final),
        "gain": _rounded((paired.shift, *paired.shift_interval)),
        "worst_loss": None if loss is None else round(loss.shift, _DIGITS),
        "verdict": verdict(paired),
        "early": list(early(arm)),
        "ours": against,
        "query_seconds": round(cost.query, 2),
        "score_seconds": round(cost.report, 2),
    }


def _mean(summary: Summary | None, digits: int = _DIGITS) -> float | None:
    return None if summary is None else round(summary.mean, digits)


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
                "saved_share": _share(numbers.saved),
            }
        )
    return found


def _share(saved: Saved | None) -> float | None:
    """The share of the minutes; None where the goal was never reached."""
    if saved is None or not math.isfinite(saved.share):
        return None
    return round(saved.share, _DIGITS)


def _rounded_or_none(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(v, _DIGITS) for v in values]


def written(told: Mapping[str, Any]) -> str:
    """The summary as the text of its file; the same results, the same bytes."""
    return json.dumps(told, indent=1, sort_keys=True) + "\n"


def measured(path: Path = SUMMARY) -> Mapping[str, Any]:
    """What is committed; empty lists where nothing was measured."""
    if not path.exists():
        return NOTHING
    known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return known
