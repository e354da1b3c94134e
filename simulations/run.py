"""One run: one arm with one seed, begun or continued in its own folder."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import tomli_w

from client.cases.cases import Cases
from protocol.codec import digest
from protocol.study import Study, document
from server.assignment import Assignment
from server.course import Milestone
from server.events import Event, Notify
from server.gain import gains_in
from simulations.arms import Arm
from simulations.arrivals import arrivals
from simulations.attacks.place import attacker, plant
from simulations.attacks.success import backdoor_success, is_backdoor
from simulations.first_weights import first_weights
from simulations.hospitals import Hospitals, admit, rows_of
from simulations.oracle import Oracle
from simulations.people import SimulatedRooms
from simulations.plan import Plan, PlanError, Task, weights_of, write_json, write_text
from simulations.record import Record
from simulations.results.records import Simulation

Engine = Callable[[Hospitals, Assignment], None]


def carry_out(plan: Plan, cases: Cases, task: Task, engine: Engine, notify: Notify) -> None:
    """Run, or go on with, one arm and seed; a finished one is left as it is."""
    if task.finished():
        return
    began = time.monotonic()
    study = plan.study_of(task.arm, task.seed)
    weights = first_weights(study, weights_of(plan, task.out))
    rows = rows_of(study, cases)
    task.folder.mkdir(parents=True, exist_ok=True)
    full = Arm.parse(task.arm).full
    oracle = Oracle(cases, rows, 0 if full else _allowance(study))
    coming = arrivals(study, cases, rows)
    images = coming.write_images(task.out)
    first, sites = coming.first(), task.folder / "sites"
    hospitals = coming.all_known(admit(study, digest(weights), cases, first, oracle, sites, images))
    attack = Arm.parse(task.arm).attack
    evil = attacker(study, len(hospitals.names))
    if attack:
        plant(hospitals.homes[evil], attack)
    oracle.restore(0 if full else _answered(study, hospitals))
    account = _account(plan, task, study, digest(weights), cases)
    attacking = {"attack": attack, "attacker": hospitals.names[evil] if attack else ""}
    account |= attacking | {"arrivals": coming.told()}
    write_text(task.folder / "study.toml", tomli_w.dumps(document(study)))
    write_json(task.folder / "run.json", account)
    record = Record(task.folder, study, hospitals)

    def reached(milestone: Milestone) -> None:
        cycle = -1 if milestone.record is None else milestone.record.cycle
        notify(Event("measured", cycle, value=record.reached(milestone)))
        coming.come(hospitals, cycle + 1)

    assignment = Assignment(
        study=study,
        weights=weights,
        home=task.folder,
        sites=len(hospitals.names),
        rooms=SimulatedRooms(study, hospitals, oracle, everything=full),
        notify=notify,
        reached=reached,
        rehearsal=True,
    )
    engine(hospitals, assignment)
    if any(map(is_backdoor, plan.arms)):
        account["backdoor"] = backdoor_success(task.folder, study, cases, images)
    account |= _told(task, study, hospitals)
    seconds = round(time.monotonic() - began, 1)
    account |= {"finished": True, "seconds": seconds, "looks": dict(oracle.counts())}
    write_json(task.folder / "run.json", account)


def _allowance(study: Study) -> int:
    """How many truths the arm's readers may look at in all.

    Where minutes are the unit a reading has no fixed price, and the store's own count rules.
    """
    return study.budget.total if study.budget.unit == "readings" else 10**9


def _answered(study: Study, hospitals: Hospitals) -> int:
    """Readings that the sites hold already, in a run that is continued."""
    from client.home import open_store

    count = 0
    for home in hospitals.homes:
        store = open_store(home, durable=False)
        count += store.readings.spent(study.identity)[0]
        store.close()
    return count


def _told(task: Task, study: Study, hospitals: Hospitals) -> dict[str, Any]:
    """What stands in the run's stores and ledger at its end."""
    gains = gains_in(task.folder / "ledger.db", study)
    return {"privacy": _privacy(study, hospitals), "gains": gains}


def _privacy(study: Study, hospitals: Hospitals) -> dict[str, dict[str, float]]:
    """What every site spent, by its name; nothing where the study is not private."""
    from client.home import open_store
    from client.privacy.spending import account_of
    from strategies.private import composes

    found = {}
    for name, home in zip(hospitals.names, hospitals.homes, strict=True):
        store = open_store(home, durable=False)
        account = account_of(store, study)
        if account is not None:
            spent = {"training": account.epsilon("training"), "audit": account.epsilon("audit")}
            delta = account.opened().delta
            found[name] = spent | {"delta": delta, "covered": float(composes(study))}
        store.close()
    return found


def _account(plan: Plan, task: Task, study: Study, weights: str, cases: Cases) -> dict[str, Any]:
    return {
        "schema": 1,
        "arm": task.arm,
        "seed": task.seed,
        "study": study.identity,
        "weights": weights,
        "data": digest_of(cases),
        "versions": _versions(),
        "git": _commit(),
        "finished": False,
        "seconds": 0.0,
    }


@lru_cache(maxsize=1)  # holds the cases, so that no others can take their identity
def digest_of(cases: Cases) -> str:
    """The cases' digest, computed once for all runs on them: it reads every pixel."""
    return cases.digest


def refuse_other_data(asked: Simulation | None, cases: Cases, out: Path) -> None:
    """Refuse a folder whose runs had other cases, as when a file was replaced by its namesake.

    Raises:
        PlanError: its images would be read with these cases' labels.
    """
    known = None if asked is None else asked.data.get("digest")
    if known is not None and known != digest_of(cases):
        raise PlanError(
            f"{out} holds a simulation of other data (digest {str(known)[:12]}, here "
            f"{digest_of(cases)[:12]}); accepted is the same data, or an empty folder"
        )


def _versions() -> dict[str, str]:
    found = {}
    for name in ("wardround", "flwr", "torch", "monai", "numpy", "scipy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@cache
def _commit() -> str | None:
    """The commit of the checkout this code runs from; None for an installed copy."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"],  # noqa: S607 - whichever git the user has
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or None
