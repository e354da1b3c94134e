"""All runs of a plan: arms times seeds, side by side where there are workers for it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from client.cases.cases import Cases
from server.app import carry_out as serve
from server.assignment import Assignment
from server.events import Event
from simulations.arms import FULL
from simulations.documents import SCHEMA
from simulations.failures import Logs
from simulations.first_weights import first_weights
from simulations.hospitals import Hospitals, rows_of
from simulations.lock import locked
from simulations.lost import refuse_lost_sites
from simulations.plan import Plan, Task, weights_of, write_json
from simulations.processes import die_with_parent, single_thread
from simulations.results.records import Simulation
from simulations.results.runs import asked_for
from simulations.run import carry_out, digest_of, refuse_other_data
from simulations.splits import check_number
from strategies.chosen import check_named, check_sites, decisions

Watch = Callable[[Task, Event], None]

FAILED = "failed: "
"""How the step of a run's last event begins, where it died of what the rest of it says."""


class RunFailed(RuntimeError):
    """A run ended with an error; the others were finished."""


def simulate(plan: Plan, out: Path, watch: Watch) -> None:
    """Do every run of the plan that is not finished yet.

    With at least as many runs as workers each worker takes whole runs; else the sites of one run
    are spread over the workers. Neither changes a bit of any result.

    Raises:
        PlanError: the folder is another simulation's, or in use, or a run's sites have lost what
            was done already.
        NotARun: what stands in the folder is damaged or another version's; nothing is written.
        CasesError, SplitError, StudyError: what is asked does not fit the data.
        RunFailed: a run died.
    """
    with locked(out):
        cases = plan.cases()
        known = asked_for(out) if (out / "simulation.json").exists() else None
        refuse_other_data(known, cases, out)
        for seed in plan.seeds:
            first = plan.study_of(plan.arms[0], seed)
            sites = rows_of(first, cases)
            check_number(first, plan.asked, len(sites))
            for arm in plan.arms:
                study = plan.study_of(arm, seed)
                chosen = decisions(study, allow_import=True)
                check_sites(study, chosen, len(sites))
                check_named(chosen.policy, sites)
        if plan.start:
            for arm in plan.arms:
                first_weights(plan.study_of(arm, plan.seeds[0]), weights_of(plan, out))
        tasks = [Task(out, arm, seed) for seed in plan.seeds for arm in plan.arms]
        todo = [task for task in tasks if not task.finished()]
        plan.save(out)
        _describe(plan, cases, out, known)
        todo.sort(key=lambda task: not task.arm.startswith(FULL))  # the longest first
        if plan.engine == "local" and plan.workers > 1 and len(todo) >= plan.workers:
            _side_by_side(plan, cases, todo, watch)
        else:
            for task in todo:
                _one(plan, cases, task, plan.workers, watch)


def _one(plan: Plan, cases: Cases, task: Task, workers: int, watch: Watch) -> None:
    """One run.

    Raises:
        PlanError: its sites have lost what was done already.
        RunFailed: sites failed; it says of the first of them what, and where all of it stands.
    """
    study = plan.study_of(task.arm, task.seed)
    refuse_lost_sites(task.folder, study, list(rows_of(study, cases)))
    logs = Logs(task.folder / "sites")
    try:
        _begin(plan, cases, task, workers, watch)
    except RuntimeError as error:
        if told := logs.told():
            raise RunFailed(f"{error}; {told}") from error
        raise


def _begin(plan: Plan, cases: Cases, task: Task, workers: int, watch: Watch) -> None:
    def notify(event: Event) -> None:
        watch(task, event)

    if plan.engine == "ray":
        from simulations.engines.ray import run_in_child

        run_in_child(plan, task, notify)
        return

    def engine(hospitals: Hospitals, assignment: Assignment) -> None:
        from simulations.engines.local import with_grid

        with_grid(hospitals.homes, workers, lambda grid: serve(assignment, grid))

    single_thread()
    carry_out(plan, cases, task, engine, notify)


@dataclass(slots=True)
class _Runner:
    """A child process with one run, and why it failed, where it did."""

    task: Task
    child: Any
    events: Connection
    why: str = ""


def _side_by_side(plan: Plan, cases: Cases, tasks: list[Task], watch: Watch) -> None:
    """Whole runs in forked children, as many at a time as there are workers."""
    fork = multiprocessing.get_context("fork")
    single_thread()  # before the fork: a child must not inherit other threads' locks
    waiting, running, failed = list(tasks), list[_Runner](), list[_Runner]()
    try:
        while waiting or running:
            while waiting and len(running) < plan.workers:
                ours, theirs = fork.Pipe(duplex=False)
                task = waiting.pop(0)
                child = fork.Process(target=_child, args=(plan, cases, task, theirs))
                child.start()
                theirs.close()
                running.append(_Runner(task, child, ours))
            for runner in _heard(running, watch):
                runner.child.join()
                running.remove(runner)
                if runner.child.exitcode != 0:
                    failed.append(runner)
    finally:
        for runner in running:
            runner.child.terminate()
    if failed:
        named = "; ".join(f"arm {each.task.arm}, seed {each.task.seed}" for each in failed)
        why = f"; {failed[0].why}" if failed[0].why else ""
        raise RunFailed(f"not finished: {named} (run.log in their folders says why){why}")


def _heard(running: list[_Runner], watch: Watch) -> list[_Runner]:
    """Pass on the events that are there; the runners that have ended."""
    ended = []
    by_connection = {runner.events: runner for runner in running}
    for connection in wait(list(by_connection)):
        assert isinstance(connection, Connection)  # noqa: S101 - nothing else is waited for
        runner = by_connection[connection]
        try:
            event = connection.recv()
        except EOFError:
            ended.append(runner)
            continue
        if event.step.startswith(FAILED):
            runner.why = event.step.removeprefix(FAILED)
        watch(runner.task, event)
    return ended


def _child(plan: Plan, cases: Cases, task: Task, events: Connection) -> None:
    die_with_parent()
    try:
        _one(plan, cases, task, 1, lambda _, event: events.send(event))
    except Exception as error:  # kept in run.log; the other runs go on
        import traceback

        task.folder.mkdir(parents=True, exist_ok=True)
        (task.folder / "run.log").write_text(traceback.format_exc(), encoding="utf-8")
        events.send(Event(f"{FAILED}{error}", 0))
        raise SystemExit(1) from None


def _describe(plan: Plan, cases: Cases, out: Path, known: Simulation | None) -> None:
    """Write what the results are read with, and add to what is known already."""
    study = plan.study_of("default", plan.seeds[0])
    arms, seeds = (known.arms, known.seeds) if known else ((), ())
    before = (known.runs if known else ()) or product(arms, seeds)
    write_json(
        out / "simulation.json",
        {
            "schema": SCHEMA,
            "study": study.name,
            "arms": list(dict.fromkeys([*arms, *plan.arms])),
            "seeds": sorted({*seeds, *plan.seeds}),
            "runs": list(dict.fromkeys(map(tuple, [*before, *product(plan.arms, plan.seeds)]))),
            "data": {
                "source": Path(plan.source).name,
                "digest": digest_of(cases),
                "cases": len(cases),
                "clustered": cases.clustered,
            },
            "split": study.simulation.split,
            "sites": list(rows_of(study, cases)),
            "scored_on": plan.scored_on,
            "unit": study.budget.unit,
            "engine": plan.engine,
            "workers": plan.workers,
        },
    )
