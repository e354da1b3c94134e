"""The site's SuperExec: Flower's own, which starts our ClientApp for every message, nothing else.

Relies on internals of flwr 1.41, which tests hold: see `tests/client/test_flower_internals.py`.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from client.flower.environment import enter
from client.home import HomeError, deployed, read_config
from client.paths import HomePaths


def run(home: Path) -> None:
    """Be a SuperExec until told to stop.

    Raises:
        HomeError: the site has joined no federation.
    """
    paths, deployment = HomePaths(home), deployed(read_config(home))
    enter(paths)
    from flwr.supercore.constant import TaskType
    from flwr.supercore.superexec.plugin import AutoExecPlugin
    from flwr.supercore.superexec.run_superexec import run_superexec
    from flwr.supercore.utils import disable_process_dumping

    executor: Any = import_module("flwr.supercore.superexec.executor.subprocess_executor")
    disable_process_dumping(strict=False)
    AutoExecPlugin.supported_task_types = frozenset({TaskType.CLIENT_APP})
    executor.TASK_TYPE_TO_COMMAND = {TaskType.CLIENT_APP: str(paths.launchers / "flwr-clientapp")}
    run_superexec(
        runtime_api_address=f"127.0.0.1:{deployment.runtime_port}",
        insecure=True,  # on loopback
        superexec_auth_secret=(paths.keys / "runtime.secret").read_bytes(),
        runtime_dependency_install=False,
    )


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(prog="superexec")
    parser.add_argument("--home", type=Path, required=True)
    try:
        run(parser.parse_args().home)
    except HomeError as error:
        print(f"superexec: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
