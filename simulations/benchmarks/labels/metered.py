"""A Grid that counts: bytes of messages, and processor seconds of each step."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.serverapp import Grid
from flwr.supercore.run import Run


@dataclass(slots=True)
class Meter:
    """What was counted, by step ("train", "select", ...), over all sites.

    Attributes:
        seconds: of the processor, spent at the sites.
        down, up: bytes of arrays and documents to the sites, and from them.
    """

    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    down: Counter[str] = field(default_factory=Counter)
    up: Counter[str] = field(default_factory=Counter)


class MeteredGrid(Grid):
    """Another grid, whose sites are computed in this process while a reply is pulled."""

    def __init__(self, grid: Grid, meter: Meter) -> None:
        self._grid, self._meter = grid, meter
        self._step: dict[str, str] = {}

    def set_run(self, run: Run) -> None:
        """As the other grid does."""
        self._grid.set_run(run)

    @property
    def run(self) -> Run:
        """Of the other grid."""
        return self._grid.run

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """As the other grid does."""
        return self._grid.create_message(content, message_type, dst_node_id, group_id, ttl)

    def get_node_ids(self) -> Iterable[int]:
        """Of the other grid."""
        return self._grid.get_node_ids()

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Count what goes to the sites."""
        fresh = list(messages)
        sent = list(self._grid.push_messages(fresh))
        for message, name in zip(fresh, sent, strict=True):
            step = message.metadata.message_type.removeprefix("query.")
            self._step[name] = step
            self._meter.down[step] += size(message.content)
        return sent

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Count what comes from the sites, and the time that it took them."""
        began = time.process_time()
        found = list(self._grid.pull_messages(message_ids))
        took = time.process_time() - began
        for message in found:
            step = self._step.pop(message.metadata.reply_to_message_id, "unknown")
            self._meter.seconds[step] += took / len(found)
            if message.has_content():
                self._meter.up[step] += size(message.content)
        return found

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """As the other grid does; not counted, and not used by our ServerApp."""
        return self._grid.send_and_receive(messages, timeout=timeout)


def size(content: RecordDict) -> int:
    """Bytes of a message's arrays and texts, without Flower's envelope."""
    total = 0
    for record in content.values():
        if isinstance(record, ArrayRecord):
            total += sum(len(array.data) for array in record.values())
        elif isinstance(record, ConfigRecord):
            total += sum(len(str(value).encode()) for value in record.values())
    return total
