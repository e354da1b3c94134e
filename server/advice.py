"""What a study's stopping rule says of the cycles in its ledger; it advises and ends nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from protocol.records import CycleRecord, SiteEvaluation, SiteProgress, SiteReport
from protocol.study import Study
from server import account
from server.ledger import Ledger, Stage
from strategies.build import build
from strategies.metrics.combine import combine
from strategies.metrics.table import METRICS
from strategies.stopping import STOPPING, Stopping


def rule_of(study: Study) -> Stopping:
    """The study's stopping rule."""
    return build(STOPPING, study.stopping.rule, **study.stopping.arguments)


def record(ledger: Ledger, cycle: int, told: Mapping[str, SiteProgress]) -> CycleRecord:
    """A cycle as its ledger has it, with what the sites have told of its readings."""
    reports = ledger.records(Stage(cycle, "report"), SiteReport) or {}
    granted = account.together(account.grants(ledger, cycle))
    return CycleRecord(cycle, reports, granted, told)


def advice_in(file: Path, study: Study) -> tuple[str, str]:
    """The advice after the newest cycle that was read, as on the dashboard, and what the audit set
    says after that cycle, to be shown beside it; both "" where there is no advice.
    """
    with closing(Ledger.look(file).connection) as connection:
        ledger = Ledger(connection, study.identity)
        told = ((c, account.progress(ledger, c)) for c in range(account.cycles(ledger)))
        past = [record(ledger, cycle, heard) for cycle, heard in told if heard]
        words = rule_of(study).advise(past) if past else ""
        return words, _audited(ledger, study, past[-1].cycle) if words else ""


def _audited(ledger: Ledger, study: Study, cycle: int) -> str:
    """The pooled audit AUROC after a cycle with its interval, in words; no rule looks at it."""
    stage = Stage(cycle, "evaluate", study.training.rounds_per_cycle)
    told = ledger.records(stage, SiteEvaluation)
    after = f"Audit set after cycle {cycle + 1}:"
    if told is None:
        return f"{after} not measured yet."
    parts = {site: e.audit for site, e in told.items() if e.audit is not None}
    if not parts:
        return f"{after} no audit case has been measured yet."
    found = combine(parts, study.task)
    auroc, label = found.pooled["auroc"], METRICS["auroc"].label
    value = "not estimable"
    if not math.isnan(auroc.estimate):
        span = (
            f"95 % interval {auroc.low:.3f} to {auroc.high:.3f}, not corrected for repeated looks"
        )
        value = f"{auroc.estimate:.3f} ({'no interval' if math.isnan(auroc.low) else span})"
    return f"{after} {label} {value}, {found.cases} cases."
