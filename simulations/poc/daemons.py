"""Everything that a rehearsed federation keeps alive, as a machine's own supervisor would.

The server's daemon, one daemon per site and one reader per site; whatever of them dies is started
again, and nothing of them is left when this ends.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from daemons.supervisor import Service, supervise
from simulations.poc.commands import installed
from simulations.poc.layout import Layout


def services(layout: Layout, *, people: bool = False) -> list[Service]:
    """The daemons of a federation that has been prepared, and its readers if they are no people."""
    quiet = {"PYTHONUNBUFFERED": "1"}
    alone = quiet | {"OMP_NUM_THREADS": "1"}  # as in a simulation: more change the last bits
    found = [
        Service(
            "server",
            (installed("wardround-server"), "start", "--home", str(layout.server)),
            quiet,
            grace=40.0,  # SuperLink alone may take ten seconds to close its connections
        )
    ]
    for name in layout.names:
        home = str(layout.site(name))
        start = (installed("wardround-site"), "start", "--home", home)
        found.append(Service(name, start, alone, grace=40.0))
        if people:
            continue
        truths = str(layout.truths(name))
        read = (sys.executable, "-m", "simulations.poc.readers", "--home", home, "--truths", truths)
        found.append(Service(f"{name}-readers", read, quiet))
    return found


def main() -> None:
    """Keep the federation under `--out` alive until told to stop."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", default="", help="one daemon of them, by name")
    said = parser.parse_args()
    out, only = said.out, said.only
    prepared = json.loads((out / "poc.json").read_text(encoding="utf-8"))
    layout = Layout(out, tuple(prepared["sites"]))
    wanted = [
        s for s in services(layout, people=prepared.get("people", False)) if only in ("", s.name)
    ]
    sys.exit(supervise(wanted, home=out, run=out / "run" / only, logs=out / "logs"))


if __name__ == "__main__":
    main()
