"""What if: a simulated run again with other arms, or a ledger's budgets under another policy.

A simulated run holds all its truths, so it can be run again. A live study's ledger holds what was
reported and granted: its allocations can be recomputed, the labels that nobody gave cannot.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from protocol.records import CycleRecord, Grant, SiteReport
from protocol.study import Study, parse
from server import account
from server.ledger import Ledger, Stage
from server.sharing import Sharing
from simulations.documents import begun
from simulations.plan import Plan, PlanError, choose, plan_of
from strategies.chosen import check_named, decisions


@dataclass(frozen=True, slots=True)
class Recomputed:
    """One site's grant of one cycle, as it was and as another policy would have had it.

    Attributes:
        granted: then, without the top-up that shared what slow sites returned.
        instead: by the other policy, from the same reports and the same past.
        reason: the other policy's, in words.
    """

    cycle: int
    site: str
    granted: int
    instead: int
    reason: str


def plan_again(run: Path, arms: Sequence[str], source: str = "", workers: int = 1) -> Plan:
    """The plan that adds arms to a finished run, with its seed, in the folder that it stands in.

    Args:
        run: the run's own folder, `OUT/ARM/seed-N`.
        arms: as `wardround simulate` takes them; "+budget.total=300" is another budget.
        source: of the cases, where they have moved; their digest must be the same.
        workers: processes.
    Raises:
        NotARun: the run's account or the plan is damaged or another version's.
        PlanError: no run's folder, an arm that cannot be, or its cases have moved and `source`
            does not say where.
    """
    out = run.resolve().parent.parent
    if not (run / "run.json").is_file() or not (out / "plan.json").is_file():
        raise PlanError(f"{run}: no run; accepted is a folder OUT/ARM/seed-N")
    told, plan = begun(run), Plan.load(out)
    added = plan_of(
        parse(plan.study),
        plan.source,
        [told.arm, *arms],
        [told.seed],
        scored_on=plan.scored_on,
        engine=plan.engine,
        workers=workers,
        start=plan.start,
    )
    return replace(added, study=plan.study).moved_to(source)


def reallocated(path: Path, policy: str, sets: Sequence[str] = ()) -> list[Recomputed]:
    """Every cycle's grants of a ledger, recomputed by another policy.

    Each cycle is decided from the reports and the past that there were, not from what the other
    policy would have led to. Its draws are those of the study's own seed. The rules are today's:
    a ledger of a version that kept granting to silent sites shows what would be granted now.

    Args:
        path: of the `ledger.db`, read only; a study may be running.
        policy: of the table; the study's own keeps its arguments.
        sets: "key=value" of its arguments.
    Raises:
        FileNotFoundError: no ledger, or nothing begun in it.
        PlanError: another database.
        sqlite3.DatabaseError: no database.
        StudyError: the policy or an argument is refused.
    """
    _refuse_other_database(path)
    ledger = Ledger.look(path)
    try:
        study = _study(ledger)
        keys = [f"budget.arguments.{each}" for each in sets]
        other = parse(_other(ledger, policy), keys)
        return list(_cycles(ledger, study, other))
    finally:
        ledger.close()


def _refuse_other_database(path: Path) -> None:
    """Refuse what has no table of a ledger; `Ledger.look` says where there is no file."""
    if not path.is_file():
        return
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as there:
        tables = {name for (name,) in there.execute("SELECT name FROM sqlite_master")}
    if "runs" not in tables:
        kind = "a site's database" if {"cases", "readings"} <= tables else "another database"
        raise PlanError(
            f"{path}: {kind if tables else 'an empty file'} and no ledger; accepted is the "
            "ledger.db of a run or of a server's study"
        )


def _document(ledger: Ledger) -> dict[str, object]:
    row = ledger.connection.execute("SELECT document FROM runs").fetchone()
    content: dict[str, object] = json.loads(row[0])
    return content


def _study(ledger: Ledger) -> Study:
    return parse(_document(ledger))


def _other(ledger: Ledger, policy: str) -> dict[str, object]:
    """The study's document with another policy in its budget."""
    content = _document(ledger)
    budget = content.get("budget")
    kept = dict(budget) if isinstance(budget, dict) else {}
    choose(kept, "policy", policy)
    return content | {"budget": kept}


def _cycles(ledger: Ledger, study: Study, other: Study) -> Iterator[Recomputed]:
    policy = decisions(other, allow_import=True).policy
    cycles = range(account.cycles(ledger))
    told = [ledger.records(Stage(cycle, "report"), SiteReport) or {} for cycle in cycles]
    check_named(policy, {site for reports in told for site in reports})
    for cycle, reports in enumerate(told):
        past = [_record(ledger, earlier, cycle) for earlier in range(cycle)]
        granted = ledger.records(Stage(cycle, "allocate"), Grant)
        if granted is None:  # the study is between its reports and its grants
            return
        instead = Sharing(study, policy, ledger).of_cycle(cycle, reports, past)
        for site in reports:
            now = instead[site]
            yield Recomputed(cycle, site, granted[site].count, now.count, now.reason)


def _record(ledger: Ledger, cycle: int, known: int) -> CycleRecord:
    """A finished cycle as it was known when a later one was shared."""
    return CycleRecord(
        cycle,
        ledger.records(Stage(cycle, "report"), SiteReport) or {},
        account.together(account.grants(ledger, cycle)),
        account.progress(ledger, cycle, known),
    )
