"""What one start of the ServerApp is to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from protocol.records import Arrays
from protocol.study import Study
from server.course import Milestone
from server.cycle import unpaused
from server.events import Notify, silent
from server.exchange import REHEARSAL, Roster, Timing
from server.federation import Federation, never
from server.home import ServerPaths
from server.participants import Participants
from server.registry.presence_shelf import PresenceShelf
from server.registry.registry import Registry
from server.rooms import ReadingRooms, StreamedRooms
from server.study_folder import FolderError, StudyFolder


def _nothing(milestone: Milestone) -> None:
    return None


def _done() -> None:
    return None


def _untold(words: str) -> None:
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
        timing: how to wait for the sites.
        keep_rounds: keep the model file of every round.
        rehearsal: a simulation: strategies outside the project are allowed, and commits are not
            synced to disk one by one.
        roster: where the sites are; None where they are known by their hellos.
        muster: waits until the study may begin; the sites in site order. None: they say hello.
        halted: whether the study is not to run any longer.
        paused: for how long the study was paused since then.
        lost: told why, where too few sites answered.
        ended: told that the study is over.
        release: called last, whatever happened.
    """

    study: Study
    weights: Arrays
    home: Path
    sites: int
    rooms: ReadingRooms
    notify: Notify = silent
    reached: Callable[[Milestone], None] = _nothing
    timing: Timing = REHEARSAL
    keep_rounds: bool = False
    rehearsal: bool = False
    roster: Roster | None = None
    muster: Callable[[Federation], Sequence[str]] | None = None
    halted: Callable[[], bool] = never
    paused: Callable[[datetime], timedelta] = unpaused
    lost: Callable[[str], None] = _untold
    ended: Callable[[], None] = _done
    release: Callable[[], None] = _done


def assignment_in(folder: StudyFolder) -> Assignment:
    """What the ServerApp is to do with a study that was submitted.

    Raises:
        FolderError: the weights or the submission cannot be read, or the server's registry lacks
            a site that takes part.
        StudyError: the study file is refused.
    """
    submission = folder.submission()
    study, weights = folder.study(), folder.weights()
    registry = Registry.open(ServerPaths(Path(submission.server)).registry)
    participants = Participants(registry, study.identity, submission.sites, submission.patience)
    if missing := sorted(set(submission.sites) - set(participants.roster())):
        registry.close()
        raise FolderError(
            f"{folder.folder}: sites {', '.join(missing)} are not in the server's registry"
        )
    return Assignment(
        study=study,
        weights=weights,
        home=folder.folder,
        sites=len(submission.sites),
        rooms=StreamedRooms(
            PresenceShelf(registry.connection), study.identity, submission.interval
        ),
        notify=participants.goes_on,
        timing=Timing(patience=submission.patience, settle=submission.settle),
        roster=participants.roster,
        muster=participants.muster,
        halted=participants.halted,
        paused=participants.paused,
        lost=participants.lost,
        ended=participants.end,
        release=registry.close,
    )
