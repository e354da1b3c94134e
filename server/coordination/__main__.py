"""python -m server.coordination --home DIR [--bind ADDRESS]"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from daemons.terminal import fail, unwritable

_NAME = "coordination"


def main(words: Sequence[str]) -> int:
    """Serve until told to stop. Exit codes: 0 stopped, 1 failed, 2 bad input."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # read at import; the log holds our words only
    from server.coordination.serving import SOCKET, check_address, serve

    parser = argparse.ArgumentParser(prog="python -m server.coordination", description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="the server's home")
    parser.add_argument("--bind", default=SOCKET, help="unix:FILE, or a loopback port")
    given = parser.parse_args(words)
    try:
        check_address(given.bind)
        home = given.home.resolve()
        os.chdir(home)  # the socket is named relative to it: a full path may be too long
        asyncio.run(serve(home, given.bind))
    except OSError as error:
        return fail(unwritable(error) if error.strerror else str(error), 1, _NAME)
    except ValueError as error:
        return fail(str(error), 2, _NAME)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
