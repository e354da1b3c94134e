"""Flower's simulation engine, on Ray: slower to start, but it spans several hosts.

With RAY_ADDRESS set it uses that cluster, whose hosts must share the results' folder; otherwise it
starts a Ray of its own. Either way it runs in a child process started from a neutral folder,
because Ray's workers put the folder they are started from in front of every import. The child's
lines of JSON tell what happens.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

from flwr.app import Context

from client.app import build as client_app
from client.opening import open_home
from client.site import Site
from server.app import build as server_app
from server.assignment import Assignment
from server.events import Event, Notify
from simulations.hospitals import Hospitals
from simulations.plan import Plan, Task

_QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}


class RayFailed(RuntimeError):
    """The Ray engine ended without finishing the run."""


def run_in_child(plan: Plan, task: Task, notify: Notify) -> None:
    """Run one arm and seed on Ray, in a child process in an empty folder.

    Raises:
        RayFailed: the child ended without finishing; its last lines say why.
    """
    command = [sys.executable, "-m", "simulations.engines.ray"]
    source = plan.opened if plan.opened == "phantom" else str(Path(plan.opened).resolve())
    wanted = [str(task.out.resolve()), task.arm, str(task.seed), source]
    with tempfile.TemporaryDirectory() as neutral, tempfile.TemporaryFile("w+") as log:
        child = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [*command, *wanted],
            cwd=neutral,
            env={**os.environ, **_QUIET, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        assert child.stdout is not None  # noqa: S101 - asked for above
        for line in child.stdout:
            if line.startswith("{"):
                notify(Event(**json.loads(line)))
        if child.wait() != 0 or not task.finished():
            log.seek(0)
            tail = " | ".join(log.read().strip().splitlines()[-3:])
            raise RayFailed(f"arm {task.arm}, seed {task.seed}: the Ray engine ended early: {tail}")


def on_ray(hospitals: Hospitals, assignment: Assignment, workers: int) -> None:
    """Run a study on Ray in this process, one Ray client per worker."""
    from flwr.simulation import run_simulation

    homes = [str(home.resolve()) for home in hospitals.homes]
    cluster = bool(os.environ.get("RAY_ADDRESS"))  # then the cluster says how many processors

    def open_site(context: Context) -> Site:
        from simulations.processes import single_thread

        single_thread()
        return _opened(homes[int(str(context.node_config["partition-id"]))])

    run_simulation(
        server_app=server_app(lambda _: assignment),
        client_app=client_app(open_site),
        num_supernodes=len(homes),
        backend_config={
            "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
            "init_args": {} if cluster else {"num_cpus": workers, "include_dashboard": False},
        },
    )


_SITES: dict[str, Site] = {}


def _opened(home: str) -> Site:
    if home not in _SITES:
        _SITES[home] = open_home(Path(home))
    return _SITES[home]


def _child(out: str, arm: str, seed: str, source: str) -> None:
    """The child's whole life: one run, its events as lines of JSON."""
    from simulations.run import carry_out

    plan = replace(Plan.load(Path(out)), moved=source)

    def tell(event: Event) -> None:
        print(json.dumps(asdict(event)))

    def engine(hospitals: Hospitals, assignment: Assignment) -> None:
        on_ray(hospitals, assignment, plan.workers)

    carry_out(plan, plan.cases(), Task(Path(out), arm, int(seed)), engine, tell)


if __name__ == "__main__":
    _child(*sys.argv[1:])
