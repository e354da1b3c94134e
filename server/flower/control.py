"""SuperLink's Control API: nodes and runs. It asks nobody who they are and stays on loopback."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_ssh_public_key,
)
from flwr.common.serde import user_config_from_proto, user_config_to_proto
from flwr.proto import control_pb2 as messages
from flwr.proto.fab_pb2 import Fab
from flwr.supercore.control import ControlHttpClient
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor

from protocol.bundle import fab, fab_hash

_NEWEST = 100  # runs looked at; those that live are among the newest


@dataclass(frozen=True, slots=True)
class Node:
    """A SuperNode as the SuperLink knows it: its id, its public key (PEM), whether it is there."""

    id: int
    key: bytes
    status: str


@dataclass(frozen=True, slots=True)
class Run:
    """A run as the SuperLink knows it.

    Attributes:
        id: Flower's.
        status: "pending", "starting", "running" or "finished".
        ending: of a finished one: "completed", "failed" or "stopped".
        home: of the study, as its configuration says.
    """

    id: int
    status: str
    ending: str
    home: str

    @property
    def lives(self) -> bool:
        """Whether it is not finished."""
        return self.status != "finished"


class Control:
    """A client of the Control API; every call answers within 30 seconds or raises."""

    def __init__(self, port: int, root: Path) -> None:
        self._client = ControlHttpClient.from_server_address(
            server_address=f"127.0.0.1:{port}",
            insecure=False,
            root_certificates=root.read_bytes(),
            interceptors=[RuntimeVersionHttpInterceptor(component_name="flwr CLI")],
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._client.close()

    def nodes(self) -> list[Node]:
        """Every node that was ever registered."""
        found = self._client.ListNodes(messages.ListNodesRequest())
        return [Node(n.node_id, n.public_key, n.status) for n in found.nodes_info]

    def register(self, key: bytes, name: str) -> int:
        """Let the SuperNode with this public key (PEM) in; its id."""
        request = messages.RegisterNodeRequest(public_key=key, name=name)
        return int(self._client.RegisterNode(request).node_id)

    def unregister(self, node: int) -> None:
        """Turn a node away for ever: its key cannot come back."""
        self._client.UnregisterNode(messages.UnregisterNodeRequest(node_id=node))

    def runs(self) -> list[Run]:
        """The newest runs."""
        found = self._client.ListRuns(messages.ListRunsRequest(limit=_NEWEST))
        return [
            Run(
                run.run_id,
                run.status.status,
                run.status.sub_status,
                str(user_config_from_proto(run.override_config).get("home", "")),
            )
            for run in found.run_dict.values()
        ]

    def start(self, home: Path) -> int:
        """Start a run of our bundle on a study's folder; its id.

        Raises:
            RuntimeError: SuperLink took the bundle and started nothing.
        """
        request = messages.StartRunRequest(
            fab=Fab(hash_str=fab_hash(), content=fab()),
            override_config=user_config_to_proto({"home": str(home)}),
        )
        answer = self._client.StartRun(request)
        if not answer.HasField("run_id"):
            raise RuntimeError("SuperLink started no run")
        return int(answer.run_id)

    def stop(self, run: int) -> None:
        """End a run that lives."""
        self._client.StopRun(messages.StopRunRequest(run_id=run))


def pem_of(key: str) -> bytes:
    """A public key in OpenSSH's format as the SuperLink keeps it.

    Raises:
        ValueError: it is no such key.
    """
    loaded = load_ssh_public_key(key.encode())
    return loaded.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
