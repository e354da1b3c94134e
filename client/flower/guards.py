"""What stands between Flower's SuperNode and this hospital: the FAB gate, and no words in errors.

Relies on internals of flwr 1.41, which tests hold: see `tests/client/test_flower_internals.py`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import httpx
from flwr.app import Error, Message
from flwr.proto.message_pb2 import ObjectTree
from flwr.supercore.constant import TaskType
from flwr.supercore.fab import Fab
from flwr.supercore.heartbeat import HeartbeatSender
from flwr.supercore.inflatable.inflatable_object import get_object_tree
from flwr.supercore.run import Run

from client.flower.fleet import Fleet
from protocol.bundle import fab as our_fab
from protocol.bundle import fab_hash as our_hash

OURS = {"wardround": "the installed package is the only one trusted"}
"""Turns flwr's verification of FABs on, which then asks us."""
_SEEN = {"valid_license": "asked of us"}  # without it flwr refuses before it asks


def install(fleet: Fleet, refused: Callable[[], None]) -> None:
    """Put the guards into flwr, in this process.

    Args:
        fleet: makes the connection to the server.
        refused: called whenever a FAB that is not ours was refused.
    """

    def verify(fab: Fab, trusted_entities: dict[str, str]) -> bool:
        same = fab.content == our_fab() and fab.hash_str == our_hash()
        if not same:
            refused()
        return same

    connection: Any = import_module("flwr.supernode.fleet_http_connection")
    supernode: Any = import_module("flwr.supernode.start_client_internal")
    plain = connection.http_request_response

    @contextmanager
    def guarded(*given: Any, **named: Any) -> Iterator[tuple[Any, ...]]:
        with plain(*given, **named) as calls:
            yield guard(Calls(*calls))

    connection.FleetHttpClient = fleet
    connection.HeartbeatSender = _heartbeat
    supernode.http_request_response = guarded
    supernode._verify_fab = verify


@dataclass(frozen=True, slots=True)
class Calls:
    """What flwr's connection gives to the SuperNode's loop, in flwr's order."""

    node_id: int
    receive: Callable[[], tuple[Message, ObjectTree] | None]
    send: Callable[[Message, ObjectTree, float], tuple[set[str], str]]
    get_run: Callable[[int], Run]
    get_fab: Callable[[str, int], Fab]
    pull_object: Callable[[int, str], bytes]
    push_object: Callable[[int, str, str, bytes], None]
    confirm: Callable[[int, str], None]


def guard(calls: Calls) -> tuple[Any, ...]:
    """The same calls, guarded."""

    def get_run(run_id: int) -> Run:
        return plain_run(calls.get_run(run_id))

    def get_fab(fab_hash: str, run_id: int) -> Fab:
        if fab_hash != our_hash():  # not even fetched
            return Fab(fab_hash, b"", dict(_SEEN))
        return replace(calls.get_fab(fab_hash, run_id), verifications=dict(_SEEN))

    def send(message: Message, tree: ObjectTree, seconds: float) -> tuple[set[str], str]:
        if not (message.has_error() and message.error.reason):
            return calls.send(message, tree, seconds)
        bare = without_words(message)
        block = bare.deflate()
        wanted, session = calls.send(bare, get_object_tree(bare), seconds)
        for object_id in wanted:
            calls.push_object(bare.metadata.run_id, session, object_id, block)
        return set(), session

    return (
        calls.node_id, calls.receive, send, get_run, get_fab,
        calls.pull_object, calls.push_object, calls.confirm,
    )  # fmt: skip


def plain_run(run: Run) -> Run:
    """A run as a site takes it: a ClientApp's, with nothing that the server may set for the app."""
    return replace(run, primary_task_type=TaskType.SERVER_APP, override_config={})


def without_words(message: Message) -> Message:
    """The same error reply with its code alone: reasons hold the text of exceptions."""
    anew: Callable[..., Message] = Message  # flwr keeps `metadata` to itself
    bare = anew(metadata=copy(message.metadata), error=Error(message.error.code, ""))
    bare.metadata.__dict__["_message_id"] = bare.object_id
    return bare


def _heartbeat(beat: Callable[[], bool]) -> HeartbeatSender:
    """Flwr's heartbeat, but a SuperNode that can beat no more ends, instead of going on deaf."""

    def beating() -> bool:
        try:
            return beat()
        except httpx.HTTPStatusError as error:
            if error.response.status_code != httpx.codes.UNAUTHORIZED:  # there flwr ends by itself
                os.kill(os.getpid(), signal.SIGTERM)
            raise
        except Exception:
            os.kill(os.getpid(), signal.SIGTERM)
            raise

    return HeartbeatSender(beating)
