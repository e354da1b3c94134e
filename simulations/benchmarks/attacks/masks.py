"""What hiding the updates costs: bytes and messages of a round with SecAgg+ and without."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from flwr.app import Message
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects

from protocol.study import Study, document, parse
from server.app import carry_out as serve
from server.assignment import Assignment
from simulations.benchmarks.runs import bench_study
from simulations.engines.local import LocalGrid
from simulations.hospitals import Hospitals
from simulations.plan import Task, plan_of
from simulations.run import carry_out

SITES = 6
ROUNDS = 2

BYTES = 2.0
"""The goal: at most so many times the bytes of a plain round."""

MESSAGES = 4
"""The goal: at most so many more messages to a site in a round."""


@dataclass(slots=True)
class Tally:
    """Of all train messages: how many went to sites, and bytes both ways as Flower sends them."""

    messages: int = 0
    down: int = 0
    up: int = 0


class TallyGrid(LocalGrid):
    """Counts what a round of training moves."""

    def __init__(self, homes: Sequence[Path], tally: Tally) -> None:
        super().__init__(homes)
        self._tally = tally

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """As the other grid does."""
        asked = list(messages)
        for message in asked:
            if message.metadata.message_type == "train":
                self._tally.messages += 1
                self._tally.down += _size(message)
        return super().push_messages(asked)

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """As the other grid does."""
        told = list(super().pull_messages(message_ids))
        for message in told:
            if message.metadata.message_type == "train":
                self._tally.up += _size(message)
        return told


def masks(networks: Sequence[str] = ("mlp", "tiny-cnn", "resnet")) -> Iterator[dict[str, Any]]:
    """A line of results for each network: a site's round without and with masks."""
    for network in networks:
        plain, secure = (_round(network, secure) for secure in (False, True))
        yield {
            "kind": "masks",
            "network": network,
            "sites": SITES,
            "plain": plain,
            "secure": secure,
        }


def _round(network: str, secure: bool) -> dict[str, float]:
    """Messages to one site in one round, and its bytes both ways."""
    study, tally = _study(network, secure), Tally()
    plan = plan_of(study, "phantom", ["default"], [study.seed])

    def engine(hospitals: Hospitals, assignment: Assignment) -> None:
        grid = TallyGrid(hospitals.homes, tally)
        try:
            serve(assignment, grid)
        finally:
            grid.close()

    with TemporaryDirectory(prefix="masks-") as folder:
        task = Task(Path(folder), "default", study.seed)
        carry_out(plan, plan.cases(), task, engine, lambda event: None)
    shared = SITES * ROUNDS
    return {
        "messages": tally.messages / shared,
        "down": tally.down / shared,
        "up": tally.up / shared,
    }


def _study(network: str, secure: bool) -> Study:
    study = bench_study(network, SITES, ROUNDS, local_epochs=1, min_steps=1, max_steps=1)
    return parse(document(study), [f"aggregation.secure={str(secure).lower()}"])


def _size(message: Message) -> int:
    """Bytes of a message and of all that hangs on it, as Flower lays them out for the wire."""
    if not message.has_content():
        return 0
    return sum(len(o.deflate()) for o in get_all_nested_objects(message.content).values())
