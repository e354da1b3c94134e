"""`python -m client.attendance --home H`: a child of `wardround-site start`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from client.attendance.dial import forget_environment


def main() -> int:
    """0 once told to stop; 2 where the site has joined no server."""
    parser = argparse.ArgumentParser(prog="client.attendance")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument(
        "--slow", type=float, default=60.0, help="seconds between attempts after no"
    )
    given = parser.parse_args()
    forget_environment()

    from client.attendance.daemon import run

    try:
        run(given.home, given.slow)
    except ValueError as error:
        print(f"client.attendance: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
