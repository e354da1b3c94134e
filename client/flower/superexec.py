"""The site's SuperExec: Flower's own, which starts our ClientApp for every message, nothing else.

Relies on internals of flwr 1.41, which tests hold: see `tests/client/test_flower_internals.py`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client.flower.environment import TOKEN, enter
from client.home import HomeError, deployed, read_config
from client.paths import HomePaths

if TYPE_CHECKING:
    from flwr.supercore.constant import TaskType
    from flwr.supercore.superexec.executor import ExecutionSpec, LaunchResult


@dataclass(slots=True)
class ClientApps:
    """Stands where flwr looks for its executor: starts ClientApps, and tells of their deaths.

    Attributes:
        program: our `flwr-clientapp`.
        address: of the SuperNode's Runtime API.
    """

    program: Path
    address: str
    _alive: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def get_eligible_capacity(
        self, supported_task_types: set[TaskType], **options: object
    ) -> tuple[set[TaskType], set[str]]:
        """There is always room; of apps, only ClientApps are started here."""
        from flwr.supercore.constant import TaskType

        return supported_task_types & {TaskType.CLIENT_APP}, set()

    def wait_for_capacity(self, task_type: TaskType | None = None, **options: object) -> None:
        """There is always room."""

    def launch(self, spec: ExecutionSpec) -> LaunchResult:
        """Start the ClientApp that does this task."""
        from flwr.supercore.constant import TaskType
        from flwr.supercore.superexec.executor import LaunchResult

        if spec.task_type != TaskType.CLIENT_APP:
            return LaunchResult.failed("not a ClientApp")
        words = [str(self.program), "--runtime-api-address", self.address, "--insecure"]
        words += ["--parent-pid", str(spec.parent_pid)]
        env = {**os.environ, TOKEN: spec.token}  # arguments are for every user of the machine
        self._alive[spec.token] = subprocess.Popen(words, env=env)  # noqa: S603 - our own program
        return LaunchResult.accepted()

    def reconcile(self) -> None:
        """Reap those that ended; of one that failed, the SuperNode is told, lest it wait."""
        for token, child in [*self._alive.items()]:
            if child.poll() is None:
                continue
            del self._alive[token]
            if child.returncode:
                report_death(self.address, token)

    def close(self) -> None:
        """Nothing to release: ClientApps die with their SuperExec."""


def report_death(address: str, token: str) -> None:
    """Tell the SuperNode that a task failed; where it knows already, or is away, nothing."""
    import httpx
    from flwr.common.constant import SubStatus
    from flwr.proto.runtime_pb2 import PushTaskOutputRequest
    from flwr.supercore.interceptors import (
        RuntimeTokenHttpInterceptor,
        RuntimeVersionHttpInterceptor,
    )
    from flwr.supercore.runtime import RuntimeHttpClient

    signing: list[Any] = [
        RuntimeVersionHttpInterceptor(component_name="flwr-clientapp"),
        RuntimeTokenHttpInterceptor(token),
    ]
    with RuntimeHttpClient.from_server_address(address, True, None, signing) as client:
        try:
            client.PushTaskOutput(PushTaskOutputRequest(sub_status=SubStatus.FAILED))
        except httpx.HTTPError:
            return


def run(home: Path) -> None:
    """Be a SuperExec until told to stop.

    Raises:
        HomeError: the site has joined no federation.
    """
    paths, deployment = HomePaths(home), deployed(read_config(home))
    enter(paths)
    from flwr.supercore.utils import disable_process_dumping

    disable_process_dumping(strict=False)
    address = f"127.0.0.1:{deployment.runtime_port}"
    flower: Any = import_module("flwr.supercore.superexec.run_superexec")
    flower.get_executor = lambda *given, **named: ClientApps(
        paths.launchers / "flwr-clientapp", address
    )
    flower.run_superexec(
        runtime_api_address=address,
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
