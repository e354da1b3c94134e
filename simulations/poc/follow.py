"""What a rehearsed federation is doing, told in lines, until its study has ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from simulations.poc.commands import CommandFailed, ask, call
from simulations.poc.layout import Layout

LOOK = 4.0
"""Seconds between two looks at where the study stands."""

OVER = frozenset({"ended", "stopped", "failed"})


class NotEnded(RuntimeError):
    """The study did not end in the time it was given."""


@dataclass(slots=True)
class Follower:
    """Approves what arrives at the sites, and says what is new.

    Attributes:
        layout: of the federation.
        identity: of its study.
        say: told a line whenever something has changed.
    """

    layout: Layout
    identity: str
    say: Callable[[str], None]
    approved: set[str] = field(default_factory=set)
    told: str = ""

    def until_over(self, patience: float) -> str:
        """The state in which the study ended.

        Raises:
            NotEnded: it is still running after `patience` seconds.
        """
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            self._approve()
            state = self._look()
            if state in OVER:
                return state
            time.sleep(LOOK)
        raise NotEnded(f"the study has not ended after {patience:.0f} s; {self.layout.out} is kept")

    def _approve(self) -> None:
        """What each site's admin would do once the plan has been read."""
        for name in self.layout.names:
            if name in self.approved:
                continue
            home = self.layout.site(name)
            with suppress(CommandFailed):  # the offer has not arrived, or the daemon is away
                call("wardround-site", "approve", self.identity, "--yes", home=home)
                self.approved.add(name)
                self.say(f"{name}: approved")

    def _look(self) -> str:
        """The study's state; says where it stands when that has changed."""
        with suppress(CommandFailed):
            status = ask("wardround-server", "status", home=self.layout.server)
            study = next(s for s in status["studies"] if s["identity"] == self.identity)
            line = words(study)
            if line != self.told:
                self.told = line
                self.say(line)
            return str(study["state"])
        return "unknown"


def words(study: dict[str, Any]) -> str:
    """Where a study stands, from the server's `status`."""
    where = ""
    if study.get("cycle") is not None:
        where = f", cycle {study['cycle'] + 1}: {study['step']}"
        where += f" {study['round'] + 1}" if study["step"] == "train" else ""
    return f"study {study['name']}: {study['state']}{where}, {study['spent']} readings"
