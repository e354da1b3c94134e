"""Live progress: bars in a terminal, one plain line per milestone elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from protocol.study import Study
from server.events import Event
from simulations.plan import Plan, Task

Watch = Callable[[Task, Event], None]


@contextmanager
def watching(plan: Plan, *, quiet: bool = False) -> Iterator[Watch]:
    """A function to tell events to, while the runs go on."""
    if quiet:
        yield lambda task, event: None
    elif sys.stdout.isatty():
        yield from _bars(plan)
    else:
        yield _Lines(plan).tell


def cycles_of(study: Study) -> int:
    """How many cycles the budget is for, if nothing is returned."""
    if study.budget.total <= (study.budget.first or study.budget.per_cycle):
        return 1
    rest = study.budget.total - (study.budget.first or study.budget.per_cycle)
    return 1 + -(-rest // study.budget.per_cycle)


@dataclass(slots=True)
class _Lines:
    """Plain lines: one for each measured point of each run."""

    plan: Plan
    spent: dict[Task, int] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)

    def tell(self, task: Task, event: Event) -> None:
        if event.step == "read":
            self.spent[task] = event.spent
        if event.step == "measured" and event.cycle >= 0:
            unit = self.plan.study_of(task.arm, task.seed).budget.unit
            value = "not estimable" if event.value is None else f"{event.value:.3f}"
            print(
                f"{time.monotonic() - self.began:6.0f} s  {task.arm}, seed {task.seed}: "
                f"cycle {event.cycle + 1}, {self.spent.get(task, 0)} {unit}, "
                f"AUROC {value}",
                flush=True,
            )
        if event.step.startswith("failed"):
            print(f"{task.arm}, seed {task.seed}: {event.step}", flush=True)


def _bars(plan: Plan) -> Iterator[Watch]:
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[detail]}"),
        TimeRemainingColumn(),
    )
    studies = {arm: plan.study_of(arm, plan.seeds[0]) for arm in plan.arms}
    rounds = {arm: study.training.rounds_per_cycle for arm, study in studies.items()}
    steps = {arm: cycles_of(study) * rounds[arm] for arm, study in studies.items()}
    with Progress(*columns) as progress:
        total = sum(steps.values()) * len(plan.seeds)
        everything = progress.add_task("all runs", total=total, detail="")
        rows: dict[Task, Any] = {}
        spent: dict[Task, int] = {}
        value: dict[Task, str] = {}

        def tell(task: Task, event: Event) -> None:
            if task not in rows:
                name = f"{task.arm} · seed {task.seed}"
                rows[task] = progress.add_task(name, total=steps[task.arm], detail="")
            if event.step == "read":
                spent[task] = event.spent
            if event.step == "measured" and event.value is not None:
                value[task] = f" · AUROC {event.value:.3f}"
            if event.step == "train" and not event.site:
                progress.advance(rows[task])
                progress.advance(everything)
            of = f"round {event.round}/{rounds[task.arm]}"
            where = of if event.step == "train" else event.step
            where += f" {event.site}" if event.site else ""
            spent_so_far = f"{spent.get(task, 0)} {studies[task.arm].budget.unit}"
            told = f"cycle {event.cycle + 1} · {where} · {spent_so_far}"
            progress.update(rows[task], detail=told + value.get(task, ""))
            if event.step == "end":
                progress.remove_task(rows[task])

        yield tell
