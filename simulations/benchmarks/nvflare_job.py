"""NVFLARE's simulator on the clients of `nvflare_client.py`; runs in the peer's environment.

    nvflare_job.py WORK SITES ROUNDS

Prints the seconds of the simulation, imports left out.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from nvflare.app_opt.pt.recipes.fedavg import FedAvgRecipe
from nvflare.recipe import SimEnv

from simulations.benchmarks.nvflare_net import Net


def main(work: Path, sites: int, rounds: int) -> None:
    """One simulation with a thread per client, as its documentation does."""
    began = time.perf_counter()
    recipe = FedAvgRecipe(
        name="bench",
        model=Net(str(work / "study.json")),
        min_clients=sites,
        num_rounds=rounds,
        train_script=str(Path(__file__).with_name("nvflare_client.py")),
        train_args=str(work),
    )
    recipe.execute(SimEnv(num_clients=sites, num_threads=sites, workspace_root=str(work / "flare")))
    print(time.perf_counter() - began)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
