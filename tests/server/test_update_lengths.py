"""An update far longer than is usual is no part of the average, and the alarm says so."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from flwr.app import Message

from protocol.codec import CodecError
from protocol.records import SiteUpdate, UpdateNumbers
from protocol.wire import from_wire, to_wire
from server.events import Event
from server.ledger import Stage
from server.training import TOO_LONG, length
from simulations.attacks.updates import moved
from simulations.engines.local import LocalGrid


class Stretching(LocalGrid):
    """One site's updates come so many times as long, from a round on."""

    times, first, node = 1.0, 0, 1001

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        return [self._stretch(m) for m in super().pull_messages(message_ids)]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        from protocol.steps import StepRequest

        kept = list(messages)
        for message in kept:
            request = from_wire(message.content, StepRequest)
            if request.key.step == "train":
                self.start, self.round = request.arrays, request.key.round
        return super().push_messages(kept)

    def _stretch(self, message: Message) -> Message:
        if message.metadata.src_node_id != self.node or message.has_error():
            return message
        try:
            update = from_wire(message.content, SiteUpdate)
        except CodecError:
            return message
        if self.round >= self.first:
            arrays = moved(self.start, update.arrays, self.times)
            message.content = to_wire(replace(update, arrays=arrays))
        return message


def stretched(times: float, first: int) -> type[Stretching]:
    return type("Stretched", (Stretching,), {"times": times, "first": first})


def run(world: Callable[..., Any], times: float, first: int) -> Any:
    made = world("training.rounds_per_cycle=3", name=f"stretched-{times}-{first}")
    made.grid = lambda homes: stretched(times, first)(list(homes.values()))
    made.run()
    return made


def numbers(made: Any, cycle: int, round_: int) -> dict[str, UpdateNumbers]:
    from protocol.codec import digest
    from server.ledger import Ledger

    ledger = Ledger.open(
        made.folder / "server" / "ledger.db", made.study, digest(made.weights), durable=False
    )
    try:
        found = ledger.records(Stage(cycle, "train", round_), UpdateNumbers)
        assert found is not None
        return found
    finally:
        ledger.close()


def left_out(made: Any) -> list[Event]:
    return [e for e in made.events if e.step == "too-long"]


@pytest.mark.slow
def test_an_update_far_too_long_is_left_out(world: Callable[..., Any]) -> None:
    made = run(world, 1000.0, 1)
    assert {(e.site, e.round) for e in left_out(made)} == {("south", 1), ("south", 2)}
    first, second = numbers(made, 0, 0), numbers(made, 0, 1)
    assert not any(n.left_out for n in first.values())
    assert second["south"].left_out
    assert second["south"].length > TOO_LONG * np.median([n.length for n in first.values()])
    assert all(np.isfinite(a).all() for a in made.model(1, 3).arrays.values())


@pytest.mark.slow
def test_the_first_round_of_a_cycle_is_held_against_that_of_the_cycle_before(
    world: Callable[..., Any],
) -> None:
    made = run(world, 1000.0, 0)
    assert ("south", 0, 0) not in {(e.site, e.cycle, e.round) for e in left_out(made)}
    assert ("south", 1, 0) in {(e.site, e.cycle, e.round) for e in left_out(made)}


@pytest.mark.slow
def test_a_longer_update_of_a_site_that_differs_is_not_left_out(world: Callable[..., Any]) -> None:
    assert not left_out(run(world, 3.0, 1))


@pytest.mark.slow
def test_attack_by_length_does_not_end_a_study_that_compares_as_many_sites_as_there_are(
    world: Callable[..., Any],
) -> None:
    """Without the long update two are left, which the median cannot tell apart: it judges three."""
    made = world("training.rounds_per_cycle=3", "aggregation.name=median", name="long-median")
    made.grid = lambda homes: stretched(1000.0, 1)(list(homes.values()))
    made.run()
    assert not left_out(made)
    before, after = numbers(made, 0, 0), numbers(made, 0, 1)
    usual = np.median([n.length for n in before.values()])
    assert after["south"].length > TOO_LONG * usual
    assert length(made.model(1, 3).arrays, made.weights) < TOO_LONG * usual


def test_length_by_hand() -> None:
    start = {"a": np.zeros(2, np.float32), "n": np.array(3)}
    end = {"a": np.array([3.0, 4.0], np.float32), "n": np.array(90)}
    assert length(end, start) == pytest.approx(5.0)


def test_a_length_does_not_depend_on_the_order_of_the_arrays() -> None:
    """What a site kept and sends again has its arrays in another order than what it just made."""
    drawn = np.random.default_rng(0)
    for _ in range(200):
        arrays = {str(name): drawn.standard_normal(3, np.float32) for name in range(9)}
        start = {name: np.zeros(3, np.float32) for name in arrays}
        turned = dict(reversed(arrays.items()))
        assert length(turned, start) == length(arrays, start)
