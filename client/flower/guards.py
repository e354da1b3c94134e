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
from flwr.common.constant import SubStatus
from flwr.proto.message_pb2 import ObjectTree
from flwr.supercore.constant import TaskType
from flwr.supercore.fab import Fab
from flwr.supercore.heartbeat import HeartbeatSender
from flwr.supercore.inflatable.inflatable_object import get_object_tree, iterate_object_tree
from flwr.supercore.object_store import NoObjectInStoreError, ObjectStore
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
    answer_failures(import_module("flwr.supernode.nodestate.in_memory_nodestate"))
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


def answer_failures(states: Any) -> None:
    """Let a ClientApp that died be an error reply at once, wherever in its work it died.

    Flwr replies for it only if it had taken its message, and not if it could say that it ended;
    otherwise the SuperNode waits for the reply for ever, and takes no other message.

    Args:
        states: the module of flwr's state in memory.
    """
    state = states.InMemoryNodeState
    plain_replies, plain_finish = state._store_error_replies, state.finish_task

    def store_error_replies(self: Any, run_ids: set[int], error: Error) -> None:
        with self.lock_msg_store:
            for entry in self.msg_store.values():
                if entry.message.metadata.run_id in run_ids:
                    entry.is_retrieved = entry.is_retrieved or not is_reply(entry.message)
            plain_replies(self, run_ids, error)
            replies = [e.message for e in self.msg_store.values() if is_reply(e.message)]
        if any(is_torn(self.object_store, m) for m in replies if m.metadata.run_id in run_ids):
            os.kill(os.getpid(), signal.SIGTERM)  # flwr would wait for the rest for ever

    def finish_task(self: Any, task_id: int, sub_status: str, details: str) -> bool:
        finished = bool(plain_finish(self, task_id, sub_status, ""))
        if finished and sub_status == SubStatus.FAILED:
            runs = {task.run_id for task in self.get_tasks(task_ids=[task_id])}
            self._store_error_replies(runs, states.CLIENT_APP_CRASHED_ERROR)
        return finished

    state._store_error_replies, state.finish_task = store_error_replies, finish_task


def is_reply(message: Message) -> bool:
    """Whether it answers another."""
    return bool(message.metadata.reply_to_message_id)


def is_torn(objects: ObjectStore, reply: Message) -> bool:
    """Whether parts of a reply are missing, as when its ClientApp died while it handed it over."""
    try:
        tree = objects.get_object_tree(reply.metadata.message_id)
    except NoObjectInStoreError:  # sent, and let go
        return False
    return any(objects.get(part.object_id) == b"" for part in iterate_object_tree(tree))


def _heartbeat(beat: Callable[[], bool]) -> HeartbeatSender:
    """Flwr's heartbeat, but a SuperNode that can beat no more ends, instead of going on deaf."""

    def beating() -> bool:
        try:
            return beat()
        except httpx.HTTPStatusError as error:
            if error.response.status_code != httpx.codes.UNAUTHORIZED:  # there flwr ends by itself
                os.kill(os.getpid(), signal.SIGTERM)
            raise
        except Exception:  # whatever it is, flwr's thread would die of it and the process stay
            os.kill(os.getpid(), signal.SIGTERM)
            raise

    return HeartbeatSender(beating)
