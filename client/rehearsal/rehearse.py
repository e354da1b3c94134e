"""A rehearsal from its options to its end; interrupted, the same options go on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace

from client.home import open_store
from client.learning.networks import initial_arrays
from client.opening import open_home
from client.rehearsal import telling
from client.rehearsal.answering import Awaited, Simulated
from client.rehearsal.cases import truths
from client.rehearsal.loop import Loop
from client.rehearsal.place import Place, prepare, room_for_people
from client.rehearsal.serving import served
from client.rehearsal.state import FIRST, Progress, State
from client.rehearsal.wanted import Wanted, study_of
from client.sources.located import LocatedImages
from client.store.store import SiteStore
from daemons.lock import take_lock
from daemons.terminal import Refused
from protocol.codec import digest
from protocol.study import Study

_PATIENCE = 10.0
"""Seconds that a rehearsal which was killed may take to be gone."""


def rehearse(place: Place, wanted: Wanted, say: Callable[[str], None]) -> State:
    """Run the loop to its end; where it ended.

    Raises:
        Refused: the folder holds something else, or is being used.
        StudyError, SourceError: what was asked for does not fit.
    """
    study, progress = study_of(wanted), Progress(place)
    with _alone(place), ExitStack() as stack:
        prepare(place, wanted, study, say)
        store = stack.enter_context(closing(open_store(place.home)))
        if wanted.simulated:
            known = truths(place.home, wanted.sources or (place.phantom,), study)
            wait = Simulated(store, study, known).wait
        else:
            room_for_people(place)
            room = stack.enter_context(served(place.home))
            wait = Awaited(store, study, room.look, say).wait
            invite(place, say)
        site = open_home(place.home)
        stack.enter_context(closing(site.store))
        if isinstance(site.images, LocatedImages):
            stack.callback(site.images.close)
        Loop(site, study, progress, wait, say).run(begun(progress, site.store, study))
    ended = progress.read()
    assert ended is not None  # noqa: S101 - the loop wrote it
    say(f"{telling.cycles(ended.cycle)} done; {telling.LAST}")
    return ended


def begun(progress: Progress, store: SiteStore, study: Study) -> State:
    """Where the loop goes on: before the first cycle, or where an earlier start left off.

    The study is approved, with first weights that come from its seed, as `wardround study freeze`
    makes them.
    """
    state = progress.read()
    if state is None:
        first = initial_arrays(study)
        progress.keep(first, FIRST)
        with store.transaction():
            store.steps.approve(study, digest(first))
        state = State()
    state = replace(state, epoch=state.epoch + 1)
    progress.write(state)
    return state


def invite(place: Place, say: Callable[[str], None]) -> None:
    """Say where the room is and who may sign in."""
    say(f"the reading room: http://{place.address}")
    for account in place.accounts():
        say(f"  {account['name']:<5} {account['role']:<12} {account['password']}")
    say("waiting for people; Ctrl-C stops, and the same command on the same folder goes on")


@contextmanager
def _alone(place: Place) -> Iterator[None]:
    """No other rehearsal and no daemon on this home.

    Raises:
        Refused: there is one.
    """
    run = place.home / "run"
    run.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        lock = take_lock(run, _PATIENCE)
    except Refused:
        raise Refused(f"another program runs on {place.home}; accepted is one at a time") from None
    try:
        yield
    finally:
        os.close(lock)
