"""`python -m server.flower.keeper`: brings Flower and nginx to what the registry says.

Every part looks at what is and at what should be, and does the difference; so it does not matter
where it was killed. A part that fails says so in one line and is tried again.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from daemons.supervisor import ask_restart
from server.flower.control import Control
from server.flower.front import Front
from server.flower.nodes import Watch, match_nodes
from server.flower.runs import Runs
from server.flower.services import BEAT
from server.home import ServerPaths, read_config
from server.registry.alarm_shelf import AlarmShelf
from server.registry.registry import Registry

LOG = logging.getLogger("keeper")
_PAUSE = 1.0
_DEAD = 180.0  # seconds in which SuperLink answers nothing: it hangs


@dataclass(slots=True)
class Part:
    """One thing to look at now and then.

    Attributes:
        name: for the log.
        every: seconds.
        look: does what is due.
        well: when it last succeeded, by the monotonic clock.
    """

    name: str
    every: float
    look: Callable[[], object]
    due: float = 0.0
    well: float = 0.0
    failed: str = ""

    def tick(self) -> None:
        """Look, if it is time to; a failure is logged once until it is another one."""
        if time.monotonic() < self.due:
            return
        self.due = time.monotonic() + self.every
        try:
            self.look()
        except Exception as error:  # whatever Flower raises: the next look may succeed
            kind = type(error).__name__
            if kind != self.failed:
                LOG.warning("%s: %s; tried again every %.0f s", self.name, kind, self.every)
            self.failed = kind
            return
        if self.failed:
            LOG.info("%s: well again", self.name)
        self.well, self.failed = time.monotonic(), ""


def parts(home: Path, registry: Registry, control: Control) -> list[Part]:
    """What the keeper looks at."""
    front, watch = Front(home), Watch()
    runs = Runs(ServerPaths(home).studies)
    alarms = AlarmShelf(registry.connection)
    return [
        Part("superlink", 15.0, control.nodes),
        Part("nodes", 5.0, lambda: match_nodes(registry, control)),
        Part("runs", 2.0, lambda: runs.match(registry, control)),
        Part("deaf nodes", 5.0, lambda: watch.look(registry)),
        Part("nginx", 2.0, lambda: front.follow(alarms)),
        Part("expiry", 3600.0, lambda: front.warn(alarms)),
    ]


def keep(home: Path) -> None:
    """For ever."""
    config, paths = read_config(home), ServerPaths(home)
    registry = Registry.open(paths.registry)
    with Control(config.superlink_port, paths.pki / "loop-ca.crt") as control:
        looked = parts(home, registry, control)
        asked = time.monotonic()
        while True:
            for part in looked:
                part.tick()
            (paths.run / BEAT).touch()
            if time.monotonic() - max(asked, looked[0].well) > _DEAD:
                LOG.warning("SuperLink answers nothing for %.0f s: started anew", _DEAD)
                ask_restart(paths.run, "superlink")
                asked = time.monotonic()
            time.sleep(_PAUSE)


def main(arguments: Sequence[str] | None = None) -> int:
    """The keeper's process."""
    parser = argparse.ArgumentParser(prog="server.flower.keeper")
    parser.add_argument("--home", type=Path, required=True)
    logging.basicConfig(
        stream=sys.stdout, level=logging.WARNING, format="%(asctime)s %(message)s", force=True
    )
    LOG.setLevel(logging.INFO)
    keep(parser.parse_args(arguments).home.resolve())
    return 0


if __name__ == "__main__":
    sys.exit(main())
