"""The Flower ServerApp: open the ledger, gather the sites, follow the course of the study."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from protocol.codec import digest
from protocol.records import GlobalState
from server.assignment import Assignment
from server.course import course
from server.cycle import Coordination
from server.federation import Federation
from server.ledger import Ledger
from server.models import ModelShelf
from strategies.chosen import decisions


def build(assigned: Callable[[Context], Assignment]) -> ServerApp:
    """A ServerApp that does what `assigned` says."""
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        carry_out(assigned(context), grid)

    return app


def carry_out(assignment: Assignment, grid: Grid) -> None:
    """Run the study to its end; the same call on the same home goes on with a run that died.

    Raises:
        StudyError: a name in the study means nothing here.
        SitesMissing, QuorumLost: the sites did not come, or did not answer.
        NotThisStudy: the home holds another run.
    """
    study = assignment.study
    study.check_sites(assignment.sites)
    chosen = decisions(study, assignment.rehearsal)
    assignment.home.mkdir(parents=True, exist_ok=True)
    ledger = Ledger.open(
        assignment.home / "ledger.db",
        study,
        digest(assignment.weights),
        durable=not assignment.rehearsal,
    )
    try:
        federation = Federation(
            grid,
            study.identity,
            ledger.next_epoch(),
            study.aggregation.quorum,
            assignment.patience,
        )
        ledger.settle_sites(federation.gather(assignment.sites))
        coordination = Coordination(
            study,
            chosen,
            federation,
            ledger,
            ModelShelf(
                assignment.home / "models", not assignment.rehearsal, assignment.keep_rounds
            ),
            assignment.rooms,
            assignment.notify,
        )
        for milestone in course(coordination, GlobalState(assignment.weights)):
            assignment.reached(milestone)
    finally:
        ledger.close()


def assignment_at_home(context: Context) -> Assignment:
    """The assignment in the study's folder that the run's configuration names."""
    from server.assignment import assignment_in
    from server.study_folder import StudyFolder

    return assignment_in(StudyFolder(Path(str(context.run_config["home"]))))


app = build(assignment_at_home)
