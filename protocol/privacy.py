"""The table `[privacy]` of a study file: what a site may lose of a patient's privacy, in all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from protocol.sections import Budget, Section, Task, Training
from protocol.sentences import refuse


class Privacy(Section):
    """Differential privacy for patients, over the whole study; without this table there is none."""

    epsilon: float = Field(8.0, gt=0, le=64, description="most spent on one patient over the study")
    delta: float | None = Field(
        None,
        gt=0,
        lt=0.01,
        description="without it the power of ten below 1 / (10 x patients at the site), which is "
        "also the most that is taken",
    )
    statistics: float = Field(
        0.1,
        ge=0.01,
        le=0.9,
        description="share for what the sites tell of their pools, the rest is for training",
    )
    clip: float = Field(
        1.0, gt=0, description="largest norm of one patient's gradient, or the first of adaptive"
    )
    clipping: Literal["flat", "adaptive"] = Field(
        "flat", description="adaptive: the norm follows a noisy quantile, which is charged, too"
    )
    quantile: float = Field(
        0.5, gt=0, lt=1, description="of the gradients' norms, which adaptive clipping follows"
    )
    noise: float | None = Field(
        None,
        gt=0,
        description="multiplier of the training noise; without it what the budget leaves for "
        "each round",
    )
    querying: Literal["given", "covered"] = Field(
        "given",
        description="given: epsilon holds for the chosen cases, and whether a patient was in the "
        "pool is bounded by nothing; covered: for the choice, too, at about twice the noise",
    )
    physical_batch: int = Field(
        32, ge=1, description="images whose gradients are in memory at once; changes no result"
    )


def planned_cycles(budget: Budget) -> int:
    """Cycles that the budget of readings lasts, if every grant is spent."""
    first = budget.first or budget.per_cycle
    return 1 + max(0, math.ceil((budget.total - first) / budget.per_cycle))


def training_part(budget: Budget, each: int, rounds: Sequence[tuple[int, int]]) -> float:
    """The part that rounds that follow each other have of what was left for training before them.

    A round weighs as much as the readings that the budget plans up to its cycle: noise hides few
    labels more than many. Rounds beyond the last planned cycle have all that is left.

    Args:
        budget: of readings.
        each: rounds of a cycle, at least 1.
        rounds: cycle and round of each, at least one, in order.
    """
    first = budget.first or budget.per_cycle

    def weight(cycle: int) -> float:
        return min(first + cycle * budget.per_cycle, max(budget.total, first))

    cycle, begun = rounds[0]
    last = max(planned_cycles(budget) - 1, cycle)
    whole = sum(each * weight(c) for c in range(cycle, last + 1)) - begun * weight(cycle)
    return min(1.0, sum(weight(c) for c, _ in rounds) / whole)


def check_private(privacy: Privacy, training: Training, task: Task, budget: Budget) -> None:
    """Refuse what a private study may not say.

    Raises:
        Refused: in one sentence that begins with the key.
    """
    if training.start != "warm":
        cycles = planned_cycles(budget)
        accepted = (
            f'"warm" in a private study: trained anew in each of {cycles} cycles, every label but '
            f"the last ones would be paid for up to {cycles} times from privacy.epsilon = "
            f"{privacy.epsilon:g}, and each training would have a part of it"
        )
        raise refuse("training.start", training.start, accepted)
    if training.balancing != "none":
        accepted = '"none" in a private study: class counts of the labels would steer the training'
        raise refuse("training.balancing", training.balancing, accepted)
    if training.loss == "evidential":
        accepted = '"cross-entropy" or "focal" in a private study: its prior is a count of labels'
        raise refuse("training.loss", training.loss, accepted)
    if task.multi_label:
        accepted = '"single-label" in a private study: no private evaluation of others is built'
        raise refuse("task.kind", task.kind, accepted)
