"""What one start of the ServerApp is to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from protocol.records import Arrays
from protocol.study import Study
from server.course import Milestone
from server.events import Notify, silent
from server.rooms import PolledRooms, ReadingRooms
from server.study_folder import StudyFolder


def _nothing(milestone: Milestone) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Assignment:
    """What one start of the ServerApp is to do.

    Attributes:
        study: to run, or to go on with.
        weights: its frozen first arrays.
        home: folder of the ledger and the models.
        sites: how many sites take part.
        rooms: where a cycle waits for people.
        notify: told of every event.
        reached: told of every milestone, also of those reached before a restart.
        patience: seconds to wait for the sites, and for the next answer to a step.
        keep_rounds: keep the model file of every round.
        rehearsal: a simulation: strategies outside the project are allowed, and commits are not
            synced to disk one by one.
    """

    study: Study
    weights: Arrays
    home: Path
    sites: int
    rooms: ReadingRooms = field(default_factory=PolledRooms)
    notify: Notify = silent
    reached: Callable[[Milestone], None] = _nothing
    patience: float = 3600.0
    keep_rounds: bool = False
    rehearsal: bool = False


def assignment_in(folder: StudyFolder) -> Assignment:
    """What the ServerApp is to do with a study that was submitted.

    Raises:
        FolderError: the weights or the submission cannot be read.
        StudyError: the study file is refused.
    """
    submission = folder.submission()
    return Assignment(
        study=folder.study(),
        weights=folder.weights(),
        home=folder.folder,
        sites=len(submission.sites),
        rooms=PolledRooms(submission.interval),
        patience=submission.patience,
    )
