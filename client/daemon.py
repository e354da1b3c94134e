"""The site's daemon itself: `wardround-site start` becomes this program, which imports little."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from client.flower.services import prepare, services
from client.paths import HomePaths
from daemons.supervisor import supervise


def become(home: Path, port: int, silence: float) -> None:
    """Go on as the daemon of this home, under the same pid; does not come back.

    Args:
        home: absolute, of a site that has joined.
        port: as `services` takes it, like silence.
    """
    words = ["--home", str(home), "--port", str(port), "--silence", str(silence)]
    os.execv(sys.executable, [sys.executable, "-Iu", "-m", "client.daemon", *words])  # noqa: S606 - ourselves


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(prog="wardround-site start")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--silence", type=float, required=True)
    given = parser.parse_args()
    os.umask(0o077)
    prepare(given.home)
    paths = HomePaths(given.home)
    try:
        supervise(
            services(given.home, given.port, given.silence), given.home, paths.run, paths.logs
        )
    except Exception as error:
        from daemons.terminal import Refused, fail

        if not isinstance(error, Refused):
            raise
        sys.exit(fail(str(error), 3, "wardround-site"))


if __name__ == "__main__":
    main()
