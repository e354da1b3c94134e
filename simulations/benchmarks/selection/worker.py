"""One timed piece of work in an interpreter of its own, ours or a peer's.

Arrays come from .npy files in a folder, the answer goes back the same way, and one line of JSON
on standard output says the rest.
"""

from __future__ import annotations

import argparse
import json
from importlib import import_module
from pathlib import Path

import numpy as np

from simulations.benchmarks.selection.theirs import THEIRS
from simulations.benchmarks.selection.timed import timed

OURS = "simulations.benchmarks.selection.ours"  # not in the peers' environments


def main() -> None:
    """Do the one piece of work that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side", choices=["ours", "million", *THEIRS])
    parser.add_argument("task")
    parser.add_argument("folder", type=Path)
    parser.add_argument("k", type=int)
    given = parser.parse_args()
    if given.side == "million":
        said = import_module(OURS).million(given.task, 1_000_000, given.k)
    else:
        prepared = import_module(OURS).prepared if given.side == "ours" else THEIRS[given.side]
        said, answer = timed(prepared(given.task, given.folder, given.k))
        np.save(given.folder / f"{given.task}-{given.side}.npy", answer)
        if given.side == "ours" and (given.folder / "features.npy").exists():
            said["pass"] = import_module(OURS).one_pass(np.load(given.folder / "features.npy"))
    print(json.dumps(said))


if __name__ == "__main__":
    main()
