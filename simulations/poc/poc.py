"""`wardround poc`: prepare, start, run, verify, stop and, unless kept, clean a whole federation."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulations.poc.commands import ask
from simulations.poc.crew import SIMULATED, Crew, invite
from simulations.poc.follow import Follower
from simulations.poc.layout import Layout
from simulations.poc.prepare import prepare, submitted
from simulations.poc.soundness import check_budget, verified

STOPPING = 120.0
"""Seconds that all daemons together may take to stop."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a rehearsed federation ended.

    Attributes:
        state: of the study: "ended", or "stopped" or "failed".
        seconds: from the start of the daemons to the end of the study.
        study: its row in the server's status.
        audits: for each site what `audit verify` said.
        exported: the card of the final model.
    """

    state: str
    seconds: float
    study: dict[str, Any]
    audits: dict[str, str]
    exported: dict[str, Any]


def run(
    layout: Layout,
    file: Path,
    overrides: list[str],
    patience: float,
    say: Callable[[str], None],
    crew: Crew = SIMULATED,
) -> Ended:
    """Run a study on a federation of real processes; on a folder that has one, go on with it.

    Raises:
        CommandFailed: a command that should have worked did not.
        NotEnded: the study took longer than `patience` seconds.
        Unsound: its budget does not add up, or an audit log does not verify.
    """
    layout.out.mkdir(parents=True, exist_ok=True)
    say("preparing homes, keys, kits and cases")
    prepare(layout, file, overrides, crew)
    began = time.monotonic()
    with federation(layout):
        say("the daemons are starting")
        if crew.people:
            invite(layout, say)
        identity = _submitted(layout)
        state = Follower(layout, identity, say).until_over(patience)
        seconds = time.monotonic() - began
        study = check_budget(layout, identity)
        audits = {name: verified(layout.site(name)) for name in layout.names}
        words = ("export", identity, "--out", str(layout.exported))
        exported = ask("wardround-server", *words, home=layout.server)
        say("the daemons are stopping")
    return Ended(state, seconds, study, audits, exported)


@contextmanager
def federation(layout: Layout) -> Iterator[subprocess.Popen[bytes]]:
    """All daemons of a prepared federation, alive inside the block and gone after it."""
    command = [sys.executable, "-m", "simulations.poc.daemons", "--out", str(layout.out)]
    keeper = subprocess.Popen(command)  # noqa: S603 - our own module
    try:
        yield keeper
    finally:
        keeper.send_signal(signal.SIGTERM)
        try:
            keeper.wait(STOPPING)
        except subprocess.TimeoutExpired:
            keeper.kill()  # its guardian ends what it leaves
            keeper.wait()


@contextmanager
def folder(out: Path | None) -> Iterator[Path]:
    """The folder asked for, or one that is removed afterwards."""
    if out is not None:
        yield out.absolute()
        return
    place = Path(tempfile.mkdtemp(prefix="wardround-"))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _submitted(layout: Layout) -> str:
    """The identity of the study, handed in unless it was before."""
    known = ask("wardround-server", "status", home=layout.server)["studies"]
    if known:
        return str(known[0]["identity"])
    return submitted(layout)
