"""The Flower ServerApp: open the ledger, gather the sites, follow the course of the study."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from protocol.codec import digest
from protocol.egress import Asking, admitted
from protocol.records import GlobalState
from server.assignment import Assignment
from server.course import course
from server.cycle import Coordination
from server.exchange import Halted, Superseded
from server.federation import Federation, QuorumLost, SitesMissing
from server.ledger import Ledger
from server.models import ModelShelf
from strategies.aggregation import TooFewUpdates
from strategies.chosen import check_sites, decisions

_LOG = logging.getLogger("wardround.server")


def build(assigned: Callable[[Context], Assignment]) -> ServerApp:
    """A ServerApp that does what `assigned` says."""
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        carry_out(assigned(context), grid)

    return app


def carry_out(assignment: Assignment, grid: Grid) -> None:
    """Run the study to its end; the same call on the same home goes on with a run that died.

    It returns early, and can be gone on with, where the study is halted or a newer start of this
    ServerApp has spoken to the sites.

    Raises:
        StudyError: a name in the study means nothing here.
        SitesMissing, QuorumLost: the sites did not come, or did not answer.
        TooFewUpdates: fewer have trained than the aggregator can judge.
        NotThisStudy: the home holds another run.
        SchemaTooNew: a newer wardround wrote the ledger.
    """
    try:
        if not assignment.halted():
            _carry_out(assignment, grid)
    except Halted:
        _LOG.info("the study was halted; the same command goes on with it")
    except Superseded:
        _LOG.info("a newer start of this study has spoken to the sites; this one ends")
    except (QuorumLost, SitesMissing, TooFewUpdates) as lost:
        away = getattr(lost, "away", True)
        when = "they are back" if away else "that is mended"
        _LOG.error("%s; the same command goes on once %s", lost, when)
        assignment.lost(str(lost))
        raise
    finally:
        assignment.release()


def _carry_out(assignment: Assignment, grid: Grid) -> None:
    study = assignment.study
    chosen = decisions(study, assignment.rehearsal)
    check_sites(study, chosen, assignment.sites)
    assignment.home.mkdir(parents=True, exist_ok=True)
    ledger = Ledger.open(
        assignment.home / "ledger.db",
        study,
        digest(assignment.weights),
        durable=not assignment.rehearsal,
    )
    try:
        federation = _federation(assignment, grid, ledger)
        models = ModelShelf(
            assignment.home / "models", not assignment.rehearsal, assignment.keep_rounds
        )
        coordination = Coordination(
            study,
            chosen,
            federation,
            ledger,
            models,
            assignment.rooms,
            assignment.notify,
            assignment.paused,
        )
        for milestone in course(coordination, GlobalState(assignment.weights)):
            assignment.reached(milestone)
        assignment.ended()
    finally:
        ledger.close()


def _federation(assignment: Assignment, grid: Grid, ledger: Ledger) -> Federation:
    """The sites, once they are there and the study may begin or go on."""
    federation = Federation(
        grid,
        assignment.study.identity,
        ledger.next_epoch(),
        assignment.study.aggregation.quorum,
        assignment.timing,
        assignment.halted,
    )
    if assignment.roster is None or assignment.muster is None:
        ledger.settle_sites(federation.gather(assignment.sites))
        return federation
    federation.roster = assignment.roster
    federation.fits = lambda reply, arrays: admitted(
        reply, Asking(getattr(reply, "site", ""), assignment.study, arrays)
    )
    if not ledger.sites():
        ledger.settle_sites(assignment.muster(federation))
    return federation


def assignment_at_home(context: Context) -> Assignment:
    """The assignment in the study's folder that the run's configuration names."""
    from server.assignment import assignment_in
    from server.study_folder import StudyFolder

    return assignment_in(StudyFolder(Path(str(context.run_config["home"]))))


app = build(assignment_at_home)
