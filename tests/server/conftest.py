"""A Grid over plain functions: real messages, real ids, answers in whatever order a test likes."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from flwr.app import Error, Message
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from client.home import open_store
from client.queue import progress
from client.site import Site
from protocol.codec import unpack
from protocol.records import Arrays, GlobalState, Grant, SiteProgress
from protocol.study import Study
from server.app import carry_out
from server.assignment import Assignment
from server.course import Milestone
from server.events import Event
from server.exchange import REHEARSAL, Timing
from simulations.engines.local import LocalGrid

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


# ---- a whole world

NAMES = ("north", "south", "west")
QUICK = replace(REHEARSAL, patience=5.0, poll=0.01)
Read = Callable[..., int]


@dataclass
class Rooms:
    """People at every site; `most` answers of each in a cycle, all that the grant pays if unset."""

    study: Study
    homes: Mapping[str, Path]
    read_cases: Read
    most: Callable[[str, int], int] = lambda name, cycle: 10**6
    seconds: float = 20.0
    say: Any = None
    called: list[int] = field(default_factory=list)

    honest: bool = False  # says who still has cases waiting, as real sites do
    interval: float = 0.0

    def look(self, cycle: int, granted: Mapping[str, Grant]) -> dict[str, SiteProgress]:
        self.called.append(cycle)
        told = {}
        for name in granted:
            store = open_store(self.homes[name], durable=False)
            most = self.most(name, cycle) - store.readings.spent(self.study.identity, cycle)[0]
            self.read_cases(store, self.study, cycle, most=most, seconds=self.seconds, say=self.say)
            found = progress(store, self.study, cycle, name)
            heard = store.readings.granted(self.study.identity, cycle) >= granted[name].count
            waiting = max(found.waiting, not heard) if self.honest else 0
            told[name] = replace(found, waiting=waiting)
            store.close()
        return told


@dataclass
class World:
    """Three hospitals and a server's folder, to be run once or again."""

    study: Study
    weights: Arrays
    folder: Path
    homes: Mapping[str, Path]
    rooms: Rooms
    events: list[Event] = field(default_factory=list)
    grid: Callable[[Mapping[str, Path]], LocalGrid] = lambda homes: LocalGrid(list(homes.values()))
    timing: Timing = QUICK
    registered: bool = False  # sites are known without their hellos, as to a real server

    def run(self, **changes: Any) -> list[Milestone]:
        reached: list[Milestone] = []
        known = {name: 1000 + number for number, name in enumerate(self.homes)}
        assignment = Assignment(
            study=self.study,
            weights=self.weights,
            home=self.folder / "server",
            sites=3,
            rooms=changes.pop("rooms", self.rooms),
            notify=changes.pop("notify", self.events.append),
            reached=reached.append,
            timing=self.timing,
            rehearsal=True,
            roster=(lambda: known) if self.registered else None,
            muster=(lambda _: list(known)) if self.registered else None,
            **changes,
        )
        grid = self.grid(self.homes)
        try:
            carry_out(assignment, grid)
        finally:
            grid.close()
        return reached

    def ledger(self) -> list[tuple[Any, ...]]:
        """All that is committed, without the times."""
        with sqlite3.connect(self.folder / "server" / "ledger.db") as connection:
            steps = connection.execute(
                "SELECT cycle, step, round, sequence, file FROM steps ORDER BY 1, 2, 3, 4"
            ).fetchall()
            records = connection.execute(
                "SELECT cycle, step, round, sequence, site, block FROM records "
                "ORDER BY 1, 2, 3, 4, 5"
            ).fetchall()
        connection.close()
        return [*steps, *records]

    def committed(self, cycle: int, step: str) -> bool:
        """Whether the ledger has that step."""
        if not (self.folder / "server" / "ledger.db").exists():
            return False
        return any(row[:2] == (cycle, step) for row in self.ledger())

    def check_sums(self, milestones: list[Milestone]) -> None:
        """Budgets add up in every cycle, and over the study."""
        so_far = 0
        for cycle, milestone in enumerate(milestones[1:]):
            record = milestone.record
            assert record is not None
            assert record.cycle == cycle
            assert tuple(record.reports) == tuple(record.progress) == NAMES
            granted = sum(grant.count for grant in record.grants.values())
            capacity = sum(report.capacity for report in record.reports.values())
            assert granted == min(self.study.cycle_budget(cycle, so_far), capacity)
            for site, grant in record.grants.items():
                done = record.progress[site]
                assert grant.count == done.spent + done.returned
                assert 0 <= grant.count <= record.reports[site].capacity
            so_far += sum(p.spent for p in record.progress.values())
            assert so_far <= self.study.budget.total

    def model(self, cycle: int, round_: int = 1) -> GlobalState:
        name = f"cycle-{cycle:03d}-round-{round_:03d}.safetensors"
        return unpack(GlobalState, (self.folder / "server" / "models" / name).read_bytes())

    def openings(self) -> list[Any]:
        """Every case that was opened anywhere, in order."""
        found = []
        for home in self.homes.values():
            store = open_store(home, durable=False)
            found.append(
                store.connection.execute(
                    'SELECT cycle, position, "case", purpose FROM openings ORDER BY 1, 2'
                ).fetchall()
            )
            store.close()
        return found


@pytest.fixture
def world(
    tmp_path: Path,
    tiny_study: Callable[..., Study],
    tiny_site: Callable[..., Site],
    first_weights: Callable[[Study], Arrays],
    read_cases: Read,
) -> Callable[..., World]:
    """Makes a world for a study of the given overrides."""

    def make(
        *overrides: str,
        name: str = "world",
        pools: tuple[int, ...] = (24, 24, 24),
        locked: int = 8,
        **rooms: Any,
    ) -> World:
        study = tiny_study(*overrides)
        folder = tmp_path / name
        homes = {
            site: tiny_site(study, site, number, pool=pool, locked=locked, folder=folder).home
            for number, (site, pool) in enumerate(zip(NAMES, pools, strict=True))
        }
        weights = first_weights(study)
        return World(study, weights, folder, homes, Rooms(study, homes, read_cases, **rooms))

    return make
