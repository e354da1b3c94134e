"""The local engine: a Grid that runs the ClientApp here, or in a few forked worker processes.

One torch thread in every process, replies in site order: the same bits whatever the workers.
"""

from __future__ import annotations

import multiprocessing
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import SUPERLINK_NODE_ID, ErrorCode
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from client.app import build
from client.opening import open_home
from client.site import Site
from simulations.attacks.place import forge, planted
from simulations.processes import die_with_parent, single_thread

_AHEAD = 16
"""How many sites beyond the next in order may be computed: bounds the replies held in memory."""


class LocalGrid(Grid):
    """Flower's Grid over sites on this machine.

    With one worker a site's step is computed when its reply is asked for, so one reply is in
    memory at a time. With more, forked processes compute steps side by side, longest first within
    a window of sites, and replies wait for those before them.
    """

    def __init__(self, homes: Sequence[Path], workers: int = 1) -> None:
        self._run = Run.create_empty(run_id=uuid.uuid4().int >> 65)
        TaskIdentity.run_id = self._run.run_id
        TaskIdentity.node_id = SUPERLINK_NODE_ID
        TaskIdentity.task_id = 1
        self._nodes = {number + 1000: home for number, home in enumerate(homes)}
        self._queue: list[Message] = []
        self._here = _Sites(self._run.run_id, self._nodes) if workers <= 1 else None
        self._crew = _Crew(self._run.run_id, self._nodes, workers) if workers > 1 else None

    def set_run(self, run: Run) -> None:
        """Take Flower's description of the run."""
        self._run = run

    @property
    def run(self) -> Run:
        """Flower's description of the run."""
        return self._run

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """A message, as Flower's older interface makes it."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        """One node per site."""
        return list(self._nodes)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Queue the messages; their ids."""
        fresh = list(messages)
        for message in fresh:
            message.metadata.__dict__["_message_id"] = uuid.uuid4().hex
        self._queue += fresh
        return [message.metadata.message_id for message in fresh]

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """At least one reply to messages that were pushed; none if none is open."""
        if self._crew is not None:
            return self._crew.replies(self._queue)
        wanted = set(message_ids)
        for i, message in enumerate(self._queue):
            if message.metadata.message_id in wanted:
                assert self._here is not None  # noqa: S101 - one worker means this process
                return [self._here.answer(self._queue.pop(i))]
        return []

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """All replies, in the order they came."""
        waiting = set(self.push_messages(messages))
        found: list[Message] = []
        while waiting:
            fresh = list(self.pull_messages(waiting))
            waiting -= {m.metadata.reply_to_message_id for m in fresh}
            found += fresh
        return found

    def close(self) -> None:
        """End the workers, and close the databases opened here."""
        if self._crew is not None:
            self._crew.close()
        if self._here is not None:
            self._here.close()


class _Sites:
    """The sites that one process has opened, each kept open for its next step."""

    def __init__(self, run_id: int, nodes: Mapping[int, Path]) -> None:
        self._contexts = {
            node: Context(run_id, node, {"site-home": str(home)}, RecordDict(), {})
            for node, home in nodes.items()
        }
        self._open: dict[str, Site] = {}
        self._app: ClientApp = build(self._site)

    def answer(self, message: Message, state: RecordDict | None = None) -> Message:
        """The ClientApp's reply, in the same envelope that Flower's own client would use.

        Args:
            message: to one of the sites.
            state: what Flower kept for the site from its messages before, if it is not here.
        """
        context = self._contexts[message.metadata.dst_node_id]
        context.state = context.state if state is None else state
        try:
            reply = self._app(message, context)
        except Exception as error:  # Flower turns whatever a ClientApp raises into such a reply
            failed = Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, type(error).__name__)
            reply = Message(failed, reply_to=message)
        reply.metadata.__dict__["_message_id"] = uuid.uuid4().hex
        self._attack(message, reply)
        return reply

    def _attack(self, message: Message, reply: Message) -> None:
        """Where the site is one that attacks, its reply is the attacker's."""
        context = self._contexts[message.metadata.dst_node_id]
        attack = planted(Path(str(context.node_config["site-home"])))
        if attack is not None:
            forge(attack, self._site(context), message, reply)

    def state(self, node: int) -> RecordDict:
        """What Flower keeps for a site from one message to the next."""
        state: RecordDict = self._contexts[node].state
        return state

    def close(self) -> None:
        for site in self._open.values():
            site.store.close()

    def _site(self, context: Context) -> Site:
        home = str(context.node_config["site-home"])
        if home not in self._open:
            self._open[home] = open_home(Path(home))
        return self._open[home]


class _Crew:
    """Worker processes and who of them is busy."""

    def __init__(self, run_id: int, nodes: Mapping[int, Path], workers: int) -> None:
        import client.dispatch  # noqa: F401 - before the fork, or every worker imports torch itself

        fork = multiprocessing.get_context("fork")
        self._idle: list[Connection] = []
        self._busy: dict[Connection, tuple[Message, float]] = {}
        self._seconds: dict[tuple[int, str], float] = {}
        self._place: dict[str, int] = {}
        self._states: dict[int, RecordDict] = {}
        self._processes = []
        for _ in range(min(workers, len(nodes))):
            ours, theirs = fork.Pipe()
            process = fork.Process(target=_work, args=(theirs, run_id, nodes), daemon=True)
            process.start()
            theirs.close()
            self._idle.append(ours)
            self._processes.append(process)

    def replies(self, queue: list[Message]) -> list[Message]:
        """The replies that are there, once there is one; takes work from the queue on the way."""
        self._assign(queue)
        if not self._busy:
            return []
        found = []
        for ready in wait(list(self._busy)):
            assert isinstance(ready, Connection)  # noqa: S101 - nothing else is waited for
            message, began = self._busy.pop(ready)
            try:
                reply, self._states[message.metadata.dst_node_id] = ready.recv()
                found.append(reply)
            except EOFError:
                raise RuntimeError("a worker process died; run the same command again") from None
            self._seconds[_kind(message)] = time.monotonic() - began
            self._idle.append(ready)
        self._assign(queue)
        return found

    def close(self) -> None:
        for connection in [*self._idle, *self._busy]:
            connection.close()
        for process in self._processes:
            process.terminate()
            process.join()

    def _assign(self, queue: list[Message]) -> None:
        """Give idle workers the longest steps near the front of the queue."""
        for message in queue:
            self._place.setdefault(message.metadata.message_id, len(self._place))
        while self._idle and queue:
            open_places = [self._place[m.metadata.message_id] for m, _ in self._busy.values()]
            front = min([self._place[queue[0].metadata.message_id], *open_places])
            near = [m for m in queue if self._place[m.metadata.message_id] < front + _AHEAD]
            if not near:
                return
            longest = max(near, key=lambda m: self._seconds.get(_kind(m), 0.0))
            queue.remove(longest)
            worker = self._idle.pop()
            worker.send((longest, self._states.get(longest.metadata.dst_node_id)))
            self._busy[worker] = (longest, time.monotonic())


def _kind(message: Message) -> tuple[int, str]:
    return message.metadata.dst_node_id, message.metadata.message_type


def _work(connection: Connection, run_id: int, nodes: Mapping[int, Path]) -> None:
    """A worker's life: steps in, replies out, until the other end closes."""
    die_with_parent()
    single_thread()
    sites = _Sites(run_id, nodes)
    while True:
        try:
            message, state = connection.recv()
        except (EOFError, OSError):
            sites.close()
            return
        reply = sites.answer(message, state)
        connection.send((reply, sites.state(message.metadata.dst_node_id)))


def with_grid(homes: Sequence[Path], workers: int, use: Callable[[Grid], None]) -> None:
    """Run `use` with a local grid over these homes, and close it whatever happens."""
    single_thread()
    grid = LocalGrid(homes, workers)
    try:
        use(grid)
    finally:
        grid.close()
