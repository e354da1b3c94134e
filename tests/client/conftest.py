"""A real SuperLink behind nginx, a site that joined it, and the test in the ServerApp's place."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from client.home import deployed, make_home, read_config
from client.joining import join, make_site
from client.paths import HomePaths
from daemons.ports import free_port
from protocol.steps import StepRequest


def _wait_until(true: Callable[[], Any], seconds: float = 60.0) -> Any:
    """The first true answer; fails after that many seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := true():
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s")


@dataclass
class Loopback:
    """One federation of one site, on loopback."""

    server: Path
    site: Path
    node: int = 0
    port: int = 0
    children: list[subprocess.Popen[bytes]] = field(default_factory=list)
    runs: list[tuple[Any, Any]] = field(default_factory=list)

    def serve(self) -> None:
        """Make the server's home, and start SuperLink and nginx of it."""
        from server.flower.services import prepare, services
        from server.home import HomeConfig
        from server.keys import make_server

        outside, self.port = free_port(), free_port()
        config = HomeConfig(
            address=f"localhost:{outside}",
            listen=f"127.0.0.1:{outside}",
            superlink_port=self.port,
        )
        make_server(self.server, config, datetime.now(UTC))
        prepare(self.server, config)
        for service in services(self.server, config):
            if service.name in ("superlink", "nginx"):
                self.start(service.command, self.server, service.env)
                _wait_until(service.ready)

    def admit(self) -> None:
        """Let the site join, and its node key in."""
        from server.flower.control import pem_of
        from server.home import ServerPaths
        from server.joining import admit
        from server.registry.registry import Registry

        request, now = make_site(self.site, "north"), datetime.now(UTC)
        paths = ServerPaths(self.server)
        registry = Registry.open(paths.registry)
        kit = admit(paths, registry, request, now, renewal=False)
        registry.close()
        join(self.site, kit, now)
        self.set(runtime_port=free_port())
        with self.control() as control:
            key = (HomePaths(self.site).keys / "node.pub").read_text()
            self.node = control.register(pem_of(key), "north")

    def set(self, **changes: Any) -> None:
        """Change what the site's configuration says of its deployment."""
        config = read_config(self.site)
        assert config.deployment
        deployment = config.deployment.model_copy(update=changes)
        make_home(self.site, config.model_copy(update={"deployment": deployment}))

    def control(self) -> Any:
        """SuperLink's Control API."""
        from server.flower.control import Control

        return Control(self.port, self.server / "pki" / "loop-ca.crt")

    def online(self) -> bool:
        """Whether the SuperLink sees the site's SuperNode."""
        with self.control() as control:
            return any(n.id == self.node and n.status == "online" for n in control.nodes())

    def start(
        self, command: tuple[str, ...], home: Path, env: Mapping[str, str] = os.environ
    ) -> subprocess.Popen[bytes]:
        """A child in its own group, its words in the home's `test.log`."""
        with (home / "test.log").open("ab") as log:
            child = subprocess.Popen(
                command, cwd=home, env={**os.environ, **env}, stdout=log, stderr=log,
                process_group=0,
            )  # fmt: skip
        self.children.append(child)
        return child

    def start_site(self, env: Mapping[str, str] = os.environ) -> list[subprocess.Popen[bytes]]:
        """SuperNode and SuperExec of the site, as its daemon starts them."""
        from client.flower.services import prepare, services

        prepare(self.site)
        deployment = deployed(read_config(self.site))
        supernode, superexec, *_ = services(self.site, deployment.runtime_port, 180.0)
        return [self.start(s.command, self.site, {**env, **s.env}) for s in (supernode, superexec)]

    def words(self) -> str:
        """What the site's children said."""
        return (self.site / "test.log").read_text()

    def stop(self) -> None:
        """End all children, and what they started."""
        for grid, beat in self.runs:
            if beat.is_running:
                beat.stop()
            grid._disconnect()
        for child in reversed(self.children):
            for number in (signal.SIGTERM, signal.SIGKILL):
                try:
                    os.killpg(child.pid, number)
                    child.wait(0 if number == signal.SIGKILL else 10)
                except (ProcessLookupError, subprocess.TimeoutExpired):
                    pass
            child.wait(5)

    def run_of(self, fab: bytes) -> Any:
        """A run of this FAB, whose ServerApp the caller is: its grid."""
        from hashlib import sha256

        from flwr.proto import control_pb2
        from flwr.proto.fab_pb2 import Fab

        request = control_pb2.StartRunRequest(
            fab=Fab(hash_str=sha256(fab).hexdigest(), content=fab)
        )
        with self.control() as control:
            assert control._client.StartRun(request).HasField("run_id")
        grid, beat = _grid(self.server, self.port)
        self.runs.append((grid, beat))
        return grid

    def ask(self, grid: Any, request: StepRequest, seconds: float = 60.0, kind: str = "") -> Any:
        """The site's reply to one message; None where none came in time."""
        from flwr.app import Message

        from protocol.steps import MESSAGE_TYPES
        from protocol.wire import to_wire

        message = Message(
            to_wire(request),
            dst_node_id=self.node,
            message_type=kind or MESSAGE_TYPES[request.key.step],
        )
        replies = list(grid.send_and_receive([message], timeout=seconds))
        return replies[0] if replies else None


def _grid(server: Path, port: int) -> tuple[Any, Any]:
    """Take the pending run's ServerApp task, as SuperExec and flwr-serverapp do."""
    from flwr.common.serde import run_from_proto
    from flwr.proto.runtime_pb2 import AcquireTaskRequest, PullTaskInputRequest
    from flwr.supercore.heartbeat import HeartbeatSender, make_task_heartbeat_fn_http
    from flwr.supercore.interceptors import (
        RuntimeVersionHttpInterceptor,
        SuperExecAuthHttpInterceptor,
    )
    from flwr.supercore.runtime import RuntimeHttpClient
    from flwr.supercore.task_identity import TaskIdentity
    from flwr.superlink.grid.http_grid import HttpGrid

    address = f"127.0.0.1:{port}"
    root = (server / "pki" / "loop-ca.crt").read_bytes()
    secret = (server / "pki" / "superexec.secret").read_bytes()
    acquire = "/flwr.proto.Runtime/AcquireTask"
    with RuntimeHttpClient.from_server_address(
        address, False, root,
        [
            RuntimeVersionHttpInterceptor(component_name="SuperExec"),
            SuperExecAuthHttpInterceptor(master_secret=secret, protected_methods=[acquire]),
        ],
    ) as client:  # fmt: skip
        wanted = AcquireTaskRequest(supported_task_types=["flwr-serverapp"])
        token = _wait_until(lambda: client.AcquireTask(wanted).token)
    grid = HttpGrid(address, False, root, token=token)
    task = grid._runtime_client.PullTaskInput(PullTaskInputRequest())
    TaskIdentity.task_id = task.task_id
    TaskIdentity.run_id = task.run.run_id
    TaskIdentity.node_id = task.context.node_id
    grid.set_run(run_from_proto(task.run))
    beat = HeartbeatSender(make_task_heartbeat_fn_http(grid._runtime_client))
    beat.start()
    return grid, beat


@pytest.fixture(scope="session")
def wait_until() -> Callable[..., Any]:
    """Waits for something to become true."""
    return _wait_until


@pytest.fixture(scope="module")
def loopback(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    """A federation whose site has joined and is not started yet."""
    if shutil.which("nginx") is None:
        pytest.skip("nginx is not installed")
    folder = tmp_path_factory.mktemp("loopback")
    rig = Loopback(folder / "server", folder / "site")
    try:
        rig.serve()
        rig.admit()
        yield rig
    finally:
        rig.stop()
