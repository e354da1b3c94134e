"""A step asked of sites that vanish, fail, refuse, stay silent and answer twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from flwr.app import Error, Message
from flwr.common.constant import ErrorCode

from protocol.records import Grant, SiteUpdate
from protocol.steps import Code, Refusal, Selected, StepRequest
from server.exchange import Halted, Superseded, Timing
from server.federation import Federation, QuorumLost
from server.ledger import Stage
from server.spool import Spool

NAMES = ["west", "east", "mid", "north"]
NODE = {name: 900 - i for i, name in enumerate(NAMES)}
QUICK = Timing(patience=0.6, grace=0.1, resend=0.1, retry=0.02, again=0.03, poll=0.004)
Nodes = Callable[..., Any]
STAGE = Stage(2, "select", 1)


def sites_of(node: Nodes, **answers: Any) -> dict[int, Any]:
    """One node each, answering with how many sites come before it in site order."""
    return {
        NODE[name]: node(name, i, answers.get(name, lambda _, n=name, i=i: Selected(n, i)))
        for i, name in enumerate(NAMES)
    }


def federation(grid: Any, quorum: float = 1.0, timing: Timing = QUICK, **more: Any) -> Federation:
    return Federation(grid, "s" * 64, 5, quorum, timing, roster=lambda: NODE, **more)


def answered(asked: Federation) -> list[str]:
    return [r.site for r in asked.ask_all(STAGE, {}, NAMES) if isinstance(r, Selected)]


def asked_of(grid: Any, name: str) -> int:
    return sum(m.metadata.dst_node_id == NODE[name] for m in grid.sent)


def failing(node: Any, times: int, wrong: Callable[[Message], Message | None]) -> Any:
    """A node whose first messages go wrong."""
    left = [times]

    def reply(message: Message) -> Message | None:
        left[0] -= 1
        return wrong(message) if left[0] >= 0 else node(message)

    return reply


@pytest.mark.parametrize("code", [0, 2, 3, 4, 5, 8])
def test_a_site_that_flower_answered_for_is_asked_again(
    function_grid: Any, node: Nodes, code: int
) -> None:
    nodes = sites_of(node)
    nodes[899] = failing(nodes[899], 3, lambda m: Message(Error(code, "x"), reply_to=m))
    grid = function_grid(nodes)
    assert answered(federation(grid)) == NAMES
    assert [asked_of(grid, n) for n in NAMES] == [1, 4, 1, 1]
    keys = {str(m.content["record"]["document"]) for m in grid.sent}
    assert len(keys) == 1  # the same key, epoch and all


def test_silence_is_asked_again_ever_more_rarely(function_grid: Any, node: Nodes) -> None:
    nodes = sites_of(node)
    nodes[898] = failing(nodes[898], 2, lambda m: None)
    grid = function_grid(nodes)
    began = time.monotonic()
    assert answered(federation(grid, timing=replace(QUICK, patience=2.0, resend=0.05))) == NAMES
    assert asked_of(grid, "mid") == 3
    assert 0.15 <= time.monotonic() - began < 1.0  # 0.05 and twice that


def test_a_site_is_not_sent_anything_until_it_is_online(function_grid: Any, node: Nodes) -> None:
    grid = function_grid(sites_of(node))
    grid.offline = {900, 897}
    looks = [0]
    there = grid.get_node_ids

    def counting() -> Any:
        looks[0] += 1
        if looks[0] == 4:
            grid.offline.discard(900)
        if looks[0] == 7:
            grid.offline.discard(897)
        return there()

    grid.get_node_ids = counting
    assert answered(federation(grid)) == NAMES
    assert [asked_of(grid, n) for n in NAMES] == [1, 1, 1, 1]


def test_a_site_that_goes_with_its_message_is_asked_under_its_new_id(
    function_grid: Any, node: Nodes
) -> None:
    nodes = sites_of(node)
    grid = function_grid(nodes)
    where = dict(NODE)
    federated = federation(grid)
    federated.roster = lambda: where

    def vanish(message: Message) -> Message:
        grid.nodes[77] = nodes[899]
        del grid.nodes[899]
        where["east"] = 77
        return Message(Error(ErrorCode.NODE_UNAVAILABLE, "gone"), reply_to=message)

    grid.nodes[899] = vanish
    assert answered(federated) == NAMES
    assert grid.sent[-1].metadata.dst_node_id == 77
    where["east"] = -1  # its key is not registered yet
    federated.quorum = 0.75
    assert answered(federated) == ["west", "mid", "north"]


@pytest.mark.parametrize(
    "code", [Code.WITHDRAWN, Code.CONFLICT, Code.FORGOTTEN, Code.KEPT_BACK, Code.BAD_REQUEST]
)
def test_a_final_refusal_is_not_asked_again(function_grid: Any, node: Nodes, code: Code) -> None:
    grid = function_grid(sites_of(node, east=lambda _: Refusal(code)))
    began = time.monotonic()
    with pytest.raises(QuorumLost, match=f"3 of 4 sites answered \\(east: {code}\\)"):
        answered(federation(grid))
    assert asked_of(grid, "east") == 1
    assert time.monotonic() - began < 0.3


@pytest.mark.parametrize("code", [Code.NOT_APPROVED, Code.PAUSED])
def test_who_may_yet_allow_it_is_asked_again_only_where_a_quorum_needs_them(
    function_grid: Any, node: Nodes, code: Code
) -> None:
    nodes = sites_of(node)
    refusal = sites_of(node, east=lambda _: Refusal(code))[899]
    nodes[899] = failing(nodes[899], 2, refusal)
    grid = function_grid(nodes)
    assert answered(federation(grid)) == NAMES
    assert asked_of(grid, "east") == 3
    nodes[899] = refusal
    grid = function_grid(nodes)
    began = time.monotonic()
    assert answered(federation(grid, 0.75)) == ["west", "mid", "north"]
    assert asked_of(grid, "east") == 1
    assert time.monotonic() - began < 0.09  # and nobody waits for them


def test_a_site_that_failed_is_asked_again_a_while(function_grid: Any, node: Nodes) -> None:
    nodes = sites_of(node)
    full_disk = sites_of(node, mid=lambda _: Refusal(Code.FAILED))[898]
    nodes[898] = failing(nodes[898], 4, full_disk)
    assert answered(federation(function_grid(nodes))) == NAMES
    nodes[898] = full_disk
    began = time.monotonic()
    assert answered(federation(function_grid(nodes), 0.5)) == ["west", "east", "north"]
    assert 0.1 <= time.monotonic() - began < 0.5  # the grace


def test_a_quorum_waits_for_the_slow_but_only_a_grace_for_the_absent(
    function_grid: Any, node: Nodes
) -> None:
    grid = function_grid(sites_of(node))
    grid.offline = {900}
    began = time.monotonic()
    assert answered(federation(grid, 0.75)) == ["east", "mid", "north"]
    assert 0.1 <= time.monotonic() - began < 0.5
    slow_until = time.monotonic() + 0.3
    grid = function_grid(
        sites_of(node),
        lambda open_: [
            m for m in open_ if m.metadata.dst_node_id != 897 or time.monotonic() > slow_until
        ],
    )
    assert answered(federation(grid, 0.75)) == NAMES


@pytest.mark.slow
def test_a_site_that_stays_away_is_glanced_at_and_waited_for_when_it_is_back(
    function_grid: Any, node: Nodes
) -> None:
    grid = function_grid(sites_of(node))
    asked = federation(grid, 0.75, replace(QUICK, grace=0.5, glance=0.02, patience=3.0))
    grid.offline = {900}
    began = time.monotonic()
    assert answered(asked) == ["east", "mid", "north"]
    assert time.monotonic() - began >= 0.5
    began = time.monotonic()
    assert answered(asked) == ["east", "mid", "north"]
    assert 0.02 <= time.monotonic() - began < 0.5
    list(asked.ask_all(STAGE, {}, NAMES[1:]))  # who is not asked is not forgotten
    began = time.monotonic()
    answered(asked)
    assert time.monotonic() - began < 0.5
    grid.offline = set()
    assert answered(asked) == NAMES
    grid.offline = {900}
    began = time.monotonic()
    answered(asked)
    assert time.monotonic() - began >= 0.5


def test_without_a_quorum_the_patience_is_waited_out(function_grid: Any, node: Nodes) -> None:
    grid = function_grid(sites_of(node))
    grid.offline = {900, 899}
    began = time.monotonic()
    with pytest.raises(QuorumLost, match="2 of 4 sites answered"):
        answered(federation(grid, 0.75))
    assert 0.6 <= time.monotonic() - began < 1.5


def test_abstentions_are_answers_without_a_reply(function_grid: Any, node: Nodes) -> None:
    few = {n: lambda _: Refusal(Code.TOO_FEW_PATIENTS) for n in NAMES}
    grid = function_grid(sites_of(node, east=few["east"]))
    assert answered(federation(grid)) == ["west", "mid", "north"]
    assert answered(federation(function_grid(sites_of(node, **few)))) == []


def test_late_and_double_replies_are_ignored(function_grid: Any, node: Nodes) -> None:
    said = [0]

    def count(request: StepRequest) -> Selected:
        said[0] += 1
        return Selected("west", said[0])

    held = time.monotonic() + 0.25
    grid = function_grid(
        sites_of(node, west=count), lambda open_: open_ if time.monotonic() > held else []
    )
    asked = federation(grid, timing=replace(QUICK, resend=0.05))
    replies = list(asked.ask_all(STAGE, {}, NAMES))
    assert [r.site for r in replies if isinstance(r, Selected)] == NAMES
    assert replies[0] == Selected("west", 1)
    assert asked_of(grid, "west") > 1
    assert answered(asked) == NAMES
    assert not grid._open  # what came too late was fetched, and dropped


def test_a_newer_start_ends_this_one(function_grid: Any, node: Nodes) -> None:
    grid = function_grid(sites_of(node, mid=lambda _: Refusal(Code.LOWER_EPOCH)))
    with pytest.raises(Superseded):
        answered(federation(grid))


def test_a_halted_study_stops_waiting(function_grid: Any, node: Nodes) -> None:
    grid = function_grid(sites_of(node, mid=lambda _: None))
    end = time.monotonic() + 0.1
    asked = federation(grid, halted=lambda: time.monotonic() > end)
    with pytest.raises(Halted):
        answered(asked)
    with pytest.raises(Halted):
        asked.pause(9.0)
    assert time.monotonic() - end < 0.3


def test_those_who_are_there_are_asked_and_nobody_is_waited_for(
    function_grid: Any, node: Nodes
) -> None:
    grants = {n: Grant(1, "") for n in NAMES}
    grid = function_grid(sites_of(node, mid=lambda _: Refusal(Code.PAUSED)))
    grid.offline = {900}
    began = time.monotonic()
    told = federation(grid).grant(STAGE, grants)
    assert list(told) == [Selected("east", 1), Selected("north", 3)]
    assert time.monotonic() - began < 0.09
    grid = function_grid(sites_of(node, east=lambda _: None))  # there, and slow
    began = time.monotonic()
    assert len(list(federation(grid).grant(STAGE, grants))) == 3
    assert 0.1 <= time.monotonic() - began < 0.3


def test_updates_beyond_the_memory_allowed_wait_on_disk() -> None:
    spool = Spool(most=100)
    for name in NAMES:
        array = np.full(20, len(name), dtype=np.float32)  # 80 bytes
        spool.put(name, SiteUpdate(name, {"w": array}, 1.0, 0.1, 3))
    spool.put("hello", Selected("hello", 1))
    assert list(spool._here) == ["west", "hello"]
    for name in reversed(NAMES):
        taken = spool.take(name)
        assert isinstance(taken, SiteUpdate)
        assert taken.arrays["w"].tolist() == [len(name)] * 20
        assert (taken.site, taken.weight, taken.loss, taken.steps) == (name, 1.0, 0.1, 3)
        assert spool.take(name) is None
    assert spool.take("hello") == Selected("hello", 1)
    spool.put("west", SiteUpdate("west", {"w": np.zeros(20, dtype=np.float32)}, 1.0, 0.1, 3))
    assert list(spool._here) == ["west"]  # there is room again
    spool.close()
    assert spool.take("west") is None
