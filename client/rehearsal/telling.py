"""What a rehearsal says in plain words."""

from __future__ import annotations

import math
from collections.abc import Iterator

from client.rehearsal.state import State
from protocol.records import Evaluation, SiteEvaluation, SiteProgress
from protocol.study import Study
from strategies.metrics.combine import combine
from strategies.metrics.table import FEWEST_CASES, FEWEST_OF_A_CLASS, METRICS

_SHOWN = ("auroc", "log_loss")


def opened(study: Study, state: State) -> str:
    """That a cycle's cases wait for readers."""
    return (
        f"cycle {state.cycle + 1}: the model asks; cases for {state.grant} {study.budget.unit} "
        "are open"
    )


def read(study: Study, state: State, told: SiteProgress) -> str:
    """What the readers did."""
    return (
        f"cycle {state.cycle + 1}: {told.readings} readings, {told.minutes:.1f} minutes; "
        f"{told.spent} of {state.grant} {study.budget.unit} spent"
    )


def learned(study: Study, told: SiteEvaluation, labels: int) -> Iterator[str]:
    """What the cycle's model is worth, measured on cases that it was never trained on."""
    yield f"  trained on {labels} labels"
    yield from _measured(study, "audit cases read so far", told.audit)
    yield from _measured(study, "locked test cases", told.locked)


def _measured(study: Study, what: str, found: Evaluation | None) -> Iterator[str]:
    if found is None:
        yield f"  {what}: none"
        return
    unsettled = f", {found.unsettled} more left unsettled" if found.unsettled else ""
    kind = "" if found.clustered else " (image-level)"
    yield f"  {what}: {found.cases}{unsettled}"
    metrics = combine({"site": found}, study.task).sites["site"]
    for name in _SHOWN:
        value = metrics[name]
        words = f"{value.estimate:.2f}, 95 % interval {value.low:.2f} to {value.high:.2f}{kind}"
        if math.isnan(value.estimate):
            words = "not estimable"
            if METRICS[name].counts:
                words += f" under {FEWEST_CASES} cases or {FEWEST_OF_A_CLASS} of a class"
        yield f"    {METRICS[name].label}: {words}"


LAST = "intervals are not corrected for repeated looks, and in a real study nothing steers by them"


def cycles(count: int) -> str:
    """So many cycles, in words."""
    return "1 cycle" if count == 1 else f"{count} cycles"
