"""Five sites with labels over the local engine, and a grid that hears and loses their replies."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from flwr.app import ConfigRecord, Error, Message, RecordDict
from flwr.common.constant import ErrorCode
from flwr.common.secure_aggregation.secaggplus_constants import RECORD_KEY_CONFIGS, Key, Stage

from client.opening import open_home
from client.store.reading_shelf import Opening
from protocol.records import Arrays, SiteUpdate, StepKey
from protocol.secagg import group_of, masking
from protocol.steps import StepRequest
from protocol.study import Study
from protocol.wire import to_wire
from server.secagg import Summed, summed
from simulations.engines.local import LocalGrid

NAMES = ("north", "south", "west", "east", "centre")


class TappedGrid(LocalGrid):
    """Keeps every reply, and loses those of some nodes from a stage on."""

    lost: frozenset[int] = frozenset()
    stage: str = ""

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        asked = list(messages)
        stage = str(asked[0].content.config_records[RECORD_KEY_CONFIGS][Key.STAGE])
        told = list(super().send_and_receive(asked, timeout=timeout))
        self.told = [*getattr(self, "told", []), *((stage, m) for m in told)]
        gone = Stage.all().index(stage) >= Stage.all().index(self.stage or Stage.UNMASK)
        if not self.lost or not gone:
            return told
        by_node = {m.metadata.dst_node_id: m for m in asked}
        error = Error(ErrorCode.NODE_UNAVAILABLE, "gone")
        return [
            Message(error, reply_to=by_node[m.metadata.src_node_id])
            if m.metadata.src_node_id in self.lost
            else m
            for m in told
        ]


@dataclass
class Five:
    """Five sites with labels, ready to train."""

    study: Study
    weights: Arrays
    homes: list[Path]
    grids: list[TappedGrid] = field(default_factory=list)

    @property
    def request(self) -> StepRequest:
        return StepRequest(StepKey(self.study.identity, 0, "train", 0), 1, self.weights)

    def grid(self, sites: int = 5) -> TappedGrid:
        made = TappedGrid(self.homes[:sites])
        self.grids.append(made)
        return made

    def sum(self, grid: TappedGrid, sites: int = 5) -> Summed | None:
        nodes = list(grid.get_node_ids())[:sites]
        return summed(grid, nodes, self.request, masking(self.study, len(nodes)), 60.0)

    def told(self, stage: str, **said: Any) -> Message:
        """The reply of the first site to one message of a masked round, with these words."""
        content = RecordDict({RECORD_KEY_CONFIGS: ConfigRecord({Key.STAGE: stage, **said})})
        group = group_of(self.request.key)
        grid = self.grids[-1] if self.grids else self.grid()
        return one(grid, Message(content, dst_node_id=1000, message_type="train", group_id=group))

    def bare(self) -> Message:
        """The reply of the first site to a train request without a mask."""
        return one(
            self.grid(), Message(to_wire(self.request), dst_node_id=1000, message_type="train")
        )

    def plain_updates(self) -> list[SiteUpdate]:
        """What the sites send without a mask, from their answers that are remembered."""
        from client.dispatch import answer

        found = []
        for home in self.homes:
            site = open_home(home)
            reply = answer(site, self.request, masked=self.study.aggregation.secure)
            assert isinstance(reply, SiteUpdate)
            found.append(reply)
            site.store.close()
        return found


def one(grid: LocalGrid, message: Message) -> Message:
    """The reply to one message."""
    return next(iter(LocalGrid.send_and_receive(grid, [message])))


@pytest.fixture
def five(
    tmp_path: Path,
    tiny_study: Callable[..., Study],
    tiny_site: Callable[..., Any],
    first_weights: Callable[[Study], Arrays],
    read_cases: Callable[..., int],
) -> Any:
    def make(*overrides: str, sites: int = 5) -> Five:
        study = tiny_study(*overrides)
        homes = []
        for number, name in enumerate(NAMES[:sites]):
            site = tiny_site(study, name, number)
            cases = site.store.cases.pool(study.identity, study.audit.patients, 0)
            with site.store.transaction():
                site.store.readings.grant(study.identity, 0, 0, 4 + 2 * number)
                site.store.readings.open(
                    study.identity, 0, [Opening(int(c), "query") for c in cases[: 4 + 2 * number]]
                )
            read_cases(site.store, study, 0)
            homes.append(site.home)
        made.append(Five(study, first_weights(study), homes))
        return made[-1]

    made: list[Five] = []
    yield make
    for world in made:
        for grid in world.grids:
            grid.close()
