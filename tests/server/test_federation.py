"""Questions and answers over a real Grid of plain functions."""

from __future__ import annotations

import gc
import time
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from flwr.app import ConfigRecord, Error, Message, RecordDict

from protocol.records import GlobalState, Grant, SiteProgress, SiteUpdate
from protocol.steps import Code, Refusal, Selected, StepRequest
from server.exchange import REHEARSAL, Timing
from server.federation import Federation, QuorumLost, SitesMissing
from server.ledger import Stage
from strategies.aggregation import AGGREGATION

NAMES = ["west", "east", "mid", "north"]
Nodes = Callable[..., Any]


def within(patience: float) -> Timing:
    """A rehearsal's waiting, in little time: what failed is not asked again."""
    return replace(REHEARSAL, patience=patience, poll=0.005)


def selected(name: str, opened: int) -> Callable[[StepRequest], Selected]:
    return lambda request: Selected(name, opened)


def sites_of(node: Nodes, answers: dict[str, Any] | None = None) -> dict[int, Any]:
    """One node each; node ids and numbers run against each other, to tell the two orders apart."""
    given = answers or {}
    return {
        900 - number: node(name, number, given.get(name, selected(name, number)))
        for number, name in enumerate(NAMES)
    }


def gathered(grid: Any, quorum: float = 1.0, patience: float = 0.3, count: int = 4) -> Federation:
    made = Federation(grid, "s" * 64, 5, quorum, within(patience))
    assert made.gather(count) == NAMES[:count]
    return made


def names(federation: Federation) -> list[str]:
    stage = Stage(2, "select")
    return [r.site for r in federation.ask_all(stage, {}, NAMES) if isinstance(r, Selected)]


@pytest.mark.parametrize(
    "order",
    [
        lambda open_: open_,
        lambda open_: open_[::-1],
        lambda open_: open_[-1:],
        lambda open_: open_[1:2] or open_[:1],
    ],
    ids=["all", "all backwards", "last first, one by one", "second first, one by one"],
)
def test_replies_come_in_site_order_whatever_the_order_of_arrival(
    function_grid: Any, node: Nodes, order: Any
) -> None:
    grid = function_grid(sites_of(node), order)
    federation = gathered(grid)
    assert federation.roster() == {"west": 900, "east": 899, "mid": 898, "north": 897}
    assert names(federation) == NAMES
    federation.quorum = 0.5
    some = federation.ask_all(Stage(2, "select"), {}, ["north", "east"])  # asked in another order
    assert [reply for reply in some if isinstance(reply, Selected)] == [
        Selected("east", 1),
        Selected("north", 3),
    ]
    for message in grid.sent[-2:]:
        request = message.content["record"]["document"]
        assert '"epoch": 5' in str(request)
        assert message.metadata.message_type == "query.select"
        assert message.metadata.group_id == "2.0"


def test_every_site_gets_its_own_grant(function_grid: Any, node: Nodes) -> None:
    def tell(name: str) -> Any:
        return lambda request: Selected(name, request.grant.count)

    grid = function_grid(sites_of(node, {name: tell(name) for name in NAMES}))
    shared = {name: Grant(10 + i, "") for i, name in enumerate(reversed(NAMES))}
    replies = list(gathered(grid).ask_each(Stage(0, "select"), shared))
    assert replies == [Selected("west", 13), Selected("east", 12), Selected("mid", 11),
                       Selected("north", 10)]  # fmt: skip


def refuses(request: StepRequest) -> Refusal:
    return Refusal(Code.CONFLICT)


def silent(request: StepRequest) -> None:
    return None


def impostor(request: StepRequest) -> Selected:
    return Selected("west", 99)


def beside(request: StepRequest) -> SiteProgress:
    return SiteProgress("east", 1, 0, 1, 1.0)


@pytest.mark.parametrize(
    ("answer", "code"),
    [(refuses, "conflict"), (silent, "silent"), (impostor, "bad-request"), (beside, "bad-request")],
)
def test_who_does_not_answer_as_asked_counts_against_the_quorum(
    function_grid: Any, node: Nodes, answer: Any, code: str
) -> None:
    nodes = sites_of(node, {"east": answer})
    assert names(gathered(function_grid(nodes), 0.75)) == ["west", "mid", "north"]
    strict = gathered(function_grid(nodes), 0.76)
    heard = []
    with pytest.raises(QuorumLost) as lost:
        heard.extend(r.site for r in strict.ask_all(Stage(2, "select", 1), {}, NAMES))
    assert heard == ["west", "mid", "north"]  # only after the last reply
    assert str(lost.value) == (f"cycle 3, select, round 2: 3 of 4 sites answered (east: {code})")
    assert lost.value.away == (answer is silent)


def test_flower_s_errors_and_nonsense_are_failures(function_grid: Any, node: Nodes) -> None:
    nodes = sites_of(node)
    good = dict(nodes)

    def unless_hello(otherwise: Callable[[Message], Message]) -> Any:
        def reply(message: Message) -> Message:
            if message.metadata.message_type == "query.hello":
                return good[message.metadata.dst_node_id](message)
            return otherwise(message)

        return reply

    nodes[899] = unless_hello(lambda m: Message(Error(0, "gone"), reply_to=m))
    nodes[898] = unless_hello(
        lambda m: Message(RecordDict({"x": ConfigRecord({"a": 1})}), reply_to=m)
    )
    with pytest.raises(QuorumLost, match=r"2 of 4.*\(east: silent, mid: bad-request\)"):
        names(gathered(function_grid(nodes)))


def test_a_silent_site_costs_its_patience_once_and_no_other_site(
    function_grid: Any, node: Nodes
) -> None:
    nodes = sites_of(node, {"west": silent})  # the first in order
    federation = gathered(function_grid(nodes), 0.5, patience=0.25)
    began = time.monotonic()
    assert names(federation) == ["east", "mid", "north"]
    assert 0.2 < time.monotonic() - began < 1.0


def test_sites_that_answer_one_after_another_are_all_waited_for(
    function_grid: Any, node: Nodes
) -> None:
    def slow(name: str) -> Callable[[StepRequest], Selected]:
        def answer(request: StepRequest) -> Selected:
            time.sleep(0.1)
            return Selected(name, 1)

        return answer

    nodes = sites_of(node, {name: slow(name) for name in NAMES})
    grid = function_grid(nodes, lambda open_: open_[:1])
    assert names(gathered(grid, patience=0.25)) == NAMES  # 0.4 s in all


def test_a_message_that_could_not_be_sent_is_a_failure(function_grid: Any, node: Nodes) -> None:
    class Dropping(function_grid):  # type: ignore[misc]  # a class from a fixture
        def push_messages(self, messages: Any) -> Any:
            sent = list(super().push_messages(messages))
            return [None if m == sent[1] and len(self.sent) > 4 else m for m in sent]

    grid = Dropping(sites_of(node))
    with pytest.raises(QuorumLost, match="east: silent") as lost:
        names(gathered(grid))
    assert lost.value.away


def test_too_few_sites_are_missing(function_grid: Any, node: Nodes) -> None:
    with pytest.raises(SitesMissing, match="4 sites came, 5 are expected"):
        Federation(function_grid(sites_of(node)), "s", 1, 1.0, within(0.1)).gather(5)


def test_a_site_that_did_not_approve_is_named_by_its_code(function_grid: Any, node: Nodes) -> None:
    from protocol.wire import to_wire

    nodes = sites_of(node)
    nodes[898] = lambda m: Message(to_wire(Refusal(Code.NOT_APPROVED)), reply_to=m)
    with pytest.raises(SitesMissing, match=r"3 sites take part, 4 .* said: not-approved") as lost:
        Federation(function_grid(nodes), "s", 1, 1.0, within(0.2)).gather(4)
    assert not lost.value.away


def test_two_sites_of_one_name_are_refused(function_grid: Any, node: Nodes) -> None:
    nodes = {1: node("west", 0), 2: node("west", 1)}
    with pytest.raises(SitesMissing, match="same name"):
        Federation(function_grid(nodes), "s", 1, 1.0, within(0.2)).gather(2)


def test_another_version_of_the_messages_is_refused(function_grid: Any, node: Nodes) -> None:
    nodes = {1: node("west", 0), 2: node("east", 1, version=7)}
    with pytest.raises(SitesMissing, match="east speaks version 7, not 1") as lost:
        Federation(function_grid(nodes), "s", 1, 1.0, within(0.2)).gather(2)
    assert not lost.value.away  # to wait for somebody would not help


def test_sites_of_one_number_are_put_in_order_by_name(function_grid: Any, node: Nodes) -> None:
    nodes = {1: node("b", 0), 2: node("c", 0), 3: node("a", 0)}
    assert Federation(function_grid(nodes), "s", 1).gather(3) == ["a", "b", "c"]


@pytest.mark.slow
def test_averaging_two_hundred_sites_holds_a_few_updates_at_a_time(
    function_grid: Any, node: Nodes
) -> None:
    alive: list[tuple[int, int]] = []
    living: weakref.WeakSet[Any] = weakref.WeakSet()
    replies: weakref.WeakSet[Message] = weakref.WeakSet()
    count = 200

    def update(name: str, number: int) -> Any:
        return lambda request: SiteUpdate(
            name, {"w": np.full(2000, number, dtype=np.float32)}, 1.0, 0.0, 1
        )

    all_names = [f"site-{i:03d}" for i in range(count)]

    def seen(answer: Callable[[Message], Message]) -> Callable[[Message], Message]:
        def reply(message: Message) -> Message:
            made = answer(message)
            replies.add(made)
            return made

        return reply

    nodes = {i: seen(node(name, i, update(name, i))) for i, name in enumerate(all_names)}
    federation = Federation(
        function_grid(nodes, lambda open_: open_[:1]), "s", 1, 1.0, within(30.0)
    )
    federation.gather(count)

    def watched() -> Any:
        for reply in federation.ask_all(Stage(0, "train"), {}, all_names):
            assert isinstance(reply, SiteUpdate)
            owner = reply.arrays["w"]
            while isinstance(owner.base, np.ndarray):
                owner = owner.base
            living.add(_Watched.of(owner))
            alive.append((len(living), len(replies)))
            yield reply

    start = GlobalState({"w": np.zeros(2000, dtype=np.float32)})
    gc.disable()  # references alone must free them
    try:
        state = AGGREGATION["fedavg"]().step(start, watched())
    finally:
        gc.enable()
    assert state.arrays["w"][0] == pytest.approx((count - 1) / 2)
    assert len(alive) == count
    assert max(updates for updates, _ in alive) <= 3
    assert max(messages for _, messages in alive) <= 3


class _Watched:
    """A weak stand-in for an array: alive as long as the array is."""

    kept: dict[int, _Watched] = {}  # noqa: RUF012  # one test's own

    @classmethod
    def of(cls, array: np.ndarray) -> _Watched:
        made = cls()
        cls.kept[id(made)] = made
        weakref.finalize(array, cls.kept.pop, id(made))
        return made
