"""Arms compared: what each one reached for its readings, and how sure the differences are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from simulations.results.comparison import MEASURES, Comparison
from simulations.results.curves import (
    SCOPES,
    Curve,
    Range,
    Scope,
    common_range,
    curve,
    lower_is_better,
)
from simulations.results.notes import about_data
from simulations.results.outcomes import Arm, Choice, bounds, summarise
from simulations.results.paired import Paired, correct, pair
from simulations.results.pairing import check
from simulations.results.records import Runs, is_bound
from simulations.results.runs import load
from strategies.metrics.table import METRICS

REFERENCE = "random"
"""The arm that others are compared with, where it was run."""


class CannotCompare(ValueError):
    """A metric, scope or reference that these runs do not have."""


def compare(outs: Sequence[Path], choice: Choice | None = None) -> Comparison:
    """Load the runs in some directories, check that they are paired, compare their arms.

    Raises:
        NotARun: see `runs.load`.
        NotPaired: arms of one seed did not begin alike.
        CannotCompare: a metric or reference that there is not.
    """
    choice = choice or Choice()
    if choice.metric not in METRICS:
        raise CannotCompare(f"metric {choice.metric!r}: accepted is one of {', '.join(METRICS)}")
    runs = load(outs)
    check(runs)
    scope = _scope(runs, choice)
    lines = {
        arm: [curve(run, choice.split, scope, choice.metric) for run in runs.of(arm)]
        for arm in runs.arms
    }
    asked = [line for arm, found in lines.items() if not is_bound(arm) for line in found]
    ranges = common_range(asked, "readings"), common_range(asked, "training_readings")
    arms = tuple(
        summarise(runs.of(arm), lines[arm], choice, ranges, bounds(runs, lines, arm))
        for arm in runs.arms
    )
    reference = _reference(arms, choice.reference)
    return Comparison(
        runs=runs,
        choice=choice,
        scope=scope,
        between=ranges[0],
        arms=arms,
        reference=reference,
        paired=_paired(arms, reference, choice.metric),
        notes=_notes(runs, choice, scope, ranges[0], asked),
    )


def _scope(runs: Runs, choice: Choice) -> Scope:
    """The scope asked for, else pooled, or macro where that is estimable more often."""
    if choice.scope is not None:
        for known in SCOPES:
            if known == choice.scope:
                return known
        raise CannotCompare(f"scope {choice.scope!r}: accepted is one of {', '.join(SCOPES)}")

    def estimable(scope: Scope) -> int:
        return sum(len(curve(run, choice.split, scope, choice.metric).cycles) for run in runs.runs)

    return "macro" if estimable("macro") > estimable("pooled") else "pooled"


def _reference(arms: Sequence[Arm], wanted: str | None) -> str | None:
    """The arm that others are compared with."""
    names = [a.name for a in arms if not a.is_bound]
    if wanted is not None and wanted not in names:
        raise CannotCompare(f"reference {wanted!r}: accepted is one of {', '.join(names)}")
    if len(names) < 2:
        return None
    plain = next((n for n in names if n.rsplit("/", 1)[-1] == REFERENCE), names[0])
    return wanted or plain


def _paired(arms: Sequence[Arm], reference: str | None, metric: str) -> tuple[Paired, ...]:
    """Every arm but the bound against the reference, corrected within each measure."""
    base = next((a for a in arms if a.name == reference), None)
    if base is None:
        return ()
    others = [a for a in arms if a is not base and not a.is_bound]
    rows: list[Paired] = []
    for measure in MEASURES:
        found = [
            pair(
                (arm.name, base.name),
                measure,
                arm.by_seed(measure),
                base.by_seed(measure),
                lower_is_better(metric),
            )
            for arm in others
        ]
        rows += correct([p for p in found if p is not None])
    return tuple(rows)


def _notes(
    runs: Runs, choice: Choice, scope: Scope, between: Range | None, lines: Sequence[Curve]
) -> tuple[str, ...]:
    """What a reader must know before believing the numbers."""
    notes = list(runs.warnings)
    if len({(s.study, s.split, s.sites) for s in runs.simulations}) > 1:
        notes.append("the directories differ in study, split or sites: the first is described")
    label = METRICS[choice.metric].label
    if scope == "macro" and choice.scope is None:
        notes.append(f"pooled {label} was not estimable throughout: the mean over sites is shown")
    if not any(line.values.size for line in lines):
        notes.append(f"{label} was not estimable on the {choice.split} cases: too few of a class")
    elif between is None:
        notes.append("no area under the budget curve: the arms share no range of readings")
    notes += about_data(runs, choice.metric)
    return tuple(notes)
