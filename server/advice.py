"""What a study's stopping rule says of the cycles in its ledger; it advises and ends nothing."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from protocol.records import CycleRecord, SiteProgress, SiteReport
from protocol.study import Study
from server import account
from server.ledger import Ledger, Stage
from strategies.build import build
from strategies.stopping import STOPPING, Stopping


def rule_of(study: Study) -> Stopping:
    """The study's stopping rule."""
    return build(STOPPING, study.stopping.rule, **study.stopping.arguments)


def record(ledger: Ledger, cycle: int, told: Mapping[str, SiteProgress]) -> CycleRecord:
    """A cycle as its ledger has it, with what the sites have told of its readings."""
    reports = ledger.records(Stage(cycle, "report"), SiteReport) or {}
    granted = account.together(account.grants(ledger, cycle))
    return CycleRecord(cycle, reports, granted, told)


def advice_in(file: Path, study: Study) -> str:
    """The advice after the newest cycle that was read, as on the dashboard; "" where none."""
    with closing(Ledger.look(file).connection) as connection:
        ledger = Ledger(connection, study.identity)
        told = ((c, account.progress(ledger, c)) for c in range(account.cycles(ledger)))
        past = [record(ledger, cycle, heard) for cycle, heard in told if heard]
    return rule_of(study).advise(past) if past else ""
