"""`python -m client.attendance --home H`: a child of `wardround-site start`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path


def main() -> int:
    """0 once told to stop; 2 where the site has joined no server."""
    parser = argparse.ArgumentParser(prog="client.attendance")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument(
        "--slow", type=float, default=60.0, help="seconds between attempts after no"
    )
    given = parser.parse_args()
    os.environ["GRPC_VERBOSITY"] = (
        "NONE"  # its words would stand in the log; ours are in the notice
    )
    from client.attendance.daemon import run
    from client.attendance.dial import forget_environment

    forget_environment()
    try:
        run(given.home, given.slow)
    except ValueError as error:
        print(f"client.attendance: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
