"""A world whose sites may be away or refuse, told of every message's way; and its books."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flwr.app import Error, Message
from flwr.common.constant import ErrorCode

from client.home import open_store
from protocol.records import SiteProgress
from protocol.steps import Refusal, StepRequest
from protocol.wire import from_wire, to_wire
from server import account
from server.exchange import Timing
from server.ledger import Ledger, Stage
from simulations.engines.local import LocalGrid

NOW = "reading.deadline_hours=1e-9"  # whoever is not done at the first look is slow
STUDY = (NOW, "budget.total=36", "aggregation.quorum=0.6", "audit.patients=0.0")
MEETING = Timing(patience=5.0, grace=0.05, resend=2.0, retry=0.01, again=0.02, poll=0.005, settle=0)
World = Any
Refusing = Callable[[str, Any], Refusal | None]


class TornGrid(LocalGrid):
    """A local grid on which sites may be away, and which is told of every message's way.

    `away` says whether a site is not there, `refuse` what it refuses a request with; `tick` is
    called before and after each reply.
    """

    away: Callable[[str], bool]
    tick: Callable[[], None]
    refuse: Refusing

    def __init__(self, homes: Mapping[str, Path]) -> None:
        super().__init__(list(homes.values()))
        self._names = dict(zip(self._nodes, homes, strict=True))

    def get_node_ids(self) -> Iterable[int]:
        return [node for node, name in self._names.items() if not self.away(name)]

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        wanted = set(message_ids)
        for message in [m for m in self._queue if m.metadata.message_id in wanted]:
            name = self._names[message.metadata.dst_node_id]
            refusal = self.refuse(name, from_wire(message.content, StepRequest).key)
            if refusal is not None:
                self._queue.remove(message)
                return [Message(to_wire(refusal), reply_to=message)]
            if self.away(name):
                self._queue.remove(message)
                return [Message(Error(ErrorCode.NODE_UNAVAILABLE, "gone"), reply_to=message)]
        self.tick()
        replies = super().pull_messages(wanted)
        self.tick()
        return replies


def slow_south(name: str, cycle: int) -> int:
    """In the first cycle a reader of south answers once, and one of west twice."""
    return {("south", 0): 1, ("west", 0): 2}.get((name, cycle), 10**6)


@dataclass
class Torn:
    """A world whose sites come and go."""

    world: World

    def away(
        self,
        when: Callable[[], bool],
        tick: Callable[[], None] = lambda: None,
        refuse: Refusing = lambda site, key: None,
    ) -> None:
        """Let west be away in these moments, and sites refuse what `refuse` says."""

        def grid(homes: Mapping[str, Path]) -> TornGrid:
            torn = TornGrid(homes)
            torn.away, torn.tick = lambda site: site == "west" and when(), tick
            torn.refuse = refuse
            return torn

        self.world.grid = grid

    def closing(self) -> bool:
        """The first cycle's cases are open, and its reading is not over."""
        return bool(self.world.committed(0, "select") and not self.world.committed(0, "read"))

    def look(self) -> Ledger:
        """The ledger as it is."""
        return Ledger.look(self.world.folder / "server" / "ledger.db")

    def books(self) -> Any:
        """By cycle: first grants, top-ups, what was known when it closed, and what is known now."""
        ledger = self.look()
        found = []
        for cycle in range(account.cycles(ledger)):
            parts = account.grants(ledger, cycle)
            found.append(
                {
                    "granted": {s: [g.count for g in each] for s, each in parts.items()},
                    "then": ledger.records(Stage(cycle, "read"), SiteProgress),
                    "now": account.progress(ledger, cycle),
                }
            )
        ledger.close()
        return found

    def check(self) -> None:
        """Granted = spent + returned to the reading; the sites' own books say the same."""
        total = 0
        for cycle, book in enumerate(self.books()):
            for site, counts in book["granted"].items():
                now = book["now"][site]
                assert sum(counts) == now.spent + now.returned
                total += now.spent
                store = open_store(self.world.homes[site], durable=False)
                given = store.readings.granted(self.world.study.identity, cycle)
                read, _ = store.readings.spent(self.world.study.identity, cycle)
                store.close()
                assert given == sum(counts)  # granted once, top-ups too
                assert now.spent == read + now.waiting
        assert total <= self.world.study.budget.total


@pytest.fixture
def torn(world: Callable[..., World]) -> Callable[..., Torn]:
    """A world whose south is slow in the first cycle, and whose west is away when it closes."""

    def make(*overrides: str, name: str = "torn", **more: Any) -> Torn:
        given = {"most": slow_south, "honest": True, "pools": (60, 60, 60), "locked": 0} | more
        made = Torn(world(*STUDY, *overrides, name=name, **given))
        made.world.timing, made.world.registered = MEETING, True
        made.away(made.closing)
        return made

    return make
