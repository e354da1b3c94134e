"""A Grid over plain functions: real messages, real ids, answers in whatever order a test likes."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest
from flwr.app import Error, Message
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

Node = Callable[[Message], Message | None]


class FunctionGrid(Grid):
    """Every node is a function from a message to its reply; None is silence.

    `order` sees the replies that are open and says which of them the next pull brings.
    """

    def __init__(
        self,
        nodes: Mapping[int, Node],
        order: Callable[[list[Message]], list[Message]] = lambda open_: open_,
    ) -> None:
        TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1
        self._run = Run.create_empty(run_id=1)
        self.nodes, self.order = dict(nodes), order
        self.offline: set[int] = set()
        self.sent: list[Message] = []
        self._open: list[Message] = []

    def set_run(self, run: Run) -> None:
        self._run = run

    @property
    def run(self) -> Run:
        return self._run

    def create_message(self, *given: Any, **named: Any) -> Message:
        raise NotImplementedError("Flower's older interface")

    def get_node_ids(self) -> Iterable[int]:
        return [node for node in self.nodes if node not in self.offline]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        ids = []
        for message in messages:
            message.metadata.__dict__["_message_id"] = uuid.uuid4().hex
            self.sent.append(message)
            ids.append(message.metadata.message_id)
            self._open.append(message)
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        wanted = set(message_ids)
        there = [m for m in self._open if m.metadata.message_id in wanted]
        chosen = self.order(there)
        self._open = [m for m in self._open if m not in chosen]
        replies = [self._answer(m) for m in chosen]
        return [reply for reply in replies if reply is not None]

    def _answer(self, message: Message) -> Message | None:
        """Flower answers for who is offline, as seen on a real SuperLink."""
        node = message.metadata.dst_node_id
        if node in self.offline or node not in self.nodes:
            return Message(Error(ErrorCode.NODE_UNAVAILABLE, "gone"), reply_to=message)
        return self.nodes[node](message)

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        raise NotImplementedError("the server pushes and pulls")


@pytest.fixture
def function_grid() -> type[FunctionGrid]:
    return FunctionGrid


@pytest.fixture
def node() -> Callable[..., Node]:
    """Makes a node that answers hello by name and number, and all else by `answer`."""
    from protocol.steps import VERSION, Hello, Reply, StepRequest
    from protocol.wire import from_wire, to_wire

    def make(
        name: str,
        number: int,
        answer: Callable[[StepRequest], Reply | None] = lambda request: None,
        version: int = VERSION,
    ) -> Node:
        def reply(message: Message) -> Message | None:
            request = from_wire(message.content, StepRequest)
            said = (
                Hello(name, number, version, {}) if request.key.step == "hello" else answer(request)
            )
            return None if said is None else Message(to_wire(said), reply_to=message)

        return reply

    return make
