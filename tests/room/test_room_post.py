"""Questions that wait share one transaction, and nobody is told of what is not on the disk."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from client.room.post import Post


@pytest.fixture
def post(make_room: Callable[..., Any]) -> Any:
    made = Post(make_room().home)
    yield made
    made.close()


def names(home: Path) -> set[str]:
    """Facts that another connection finds, which sees what is committed alone."""
    with sqlite3.connect(home / "site.db") as other:
        return {row[0] for row in other.execute("SELECT name FROM facts WHERE value = 'here'")}


def keep(name: str, *, fails: bool = False) -> Callable[[Any], str]:
    def question(site: Any) -> str:
        with site.store.transaction():
            site.store.cases.set_fact(name, "here")
        if fails:
            raise ValueError(name)
        return name

    return question


def at_once(post: Post, *questions: Callable[[Any], Any]) -> tuple[list[Any], list[str]]:
    """What came of questions that wait together, and the transactions that were begun for them."""
    gate, begun = threading.Event(), list[str]()

    def hold(site: Any) -> None:
        site.store.connection.set_trace_callback(begun.append)
        gate.wait(10)

    async def ask() -> list[Any]:
        held = asyncio.ensure_future(post.ask(hold))
        waiting = [asyncio.ensure_future(post.ask(q, changes=True)) for q in questions]
        await asyncio.sleep(0.05)
        gate.set()
        await held
        return await asyncio.gather(*waiting, return_exceptions=True)

    told = asyncio.run(ask())
    return told, [said for said in begun if said.startswith(("BEGIN", "COMMIT"))]


def test_what_waits_is_committed_at_once_and_a_refusal_undoes_itself_alone(post: Post) -> None:
    told, said = at_once(post, keep("a"), keep("b", fails=True), keep("c"))
    assert (told[0], told[2]) == ("a", "c")
    assert isinstance(told[1], ValueError)
    assert names(post.home) == {"a", "c"}
    assert said == ["BEGIN IMMEDIATE", "COMMIT"]


def test_where_the_commit_fails_nobody_is_told_that_anything_was_kept(post: Post) -> None:
    def undone(site: Any) -> None:
        site.store.connection.execute("ROLLBACK")  # as SQLite does itself when a disk is full
        raise sqlite3.OperationalError("database or disk is full")

    told, said = at_once(post, keep("a"), undone, keep("c"))
    assert [type(one) for one in told] == [sqlite3.OperationalError] * 3
    assert names(post.home) == set()
    assert "COMMIT" not in said
    assert at_once(post, keep("d"))[0] == ["d"]
    assert names(post.home) == {"d"}


def test_a_commit_that_is_refused_is_told_to_all(post: Post) -> None:
    def broken(site: Any) -> str:
        site.store.connection.execute("PRAGMA defer_foreign_keys = ON")
        sql = "INSERT INTO grants VALUES ('nobody', 0, 0, 1)"  # found out at the commit
        site.store.connection.execute(sql)
        return "kept"

    told, _ = at_once(post, keep("a"), broken)
    assert [type(one) for one in told] == [sqlite3.IntegrityError] * 2
    assert names(post.home) == set()


def test_what_only_looks_waits_for_no_writer(post: Post) -> None:
    with sqlite3.connect(post.home / "site.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        found = asyncio.run(asyncio.wait_for(post.ask(lambda site: site.name), 5))
        other.execute("ROLLBACK")
    assert found == "north"


def test_what_was_asked_before_the_end_is_answered(make_room: Callable[..., Any]) -> None:
    one = Post(make_room().home)

    async def ask() -> list[Any]:
        asked = [asyncio.ensure_future(one.ask(keep(n), changes=True)) for n in "ab"]
        await asyncio.sleep(0)
        await asyncio.to_thread(one.close)
        return await asyncio.gather(*asked)

    assert asyncio.run(ask()) == ["a", "b"]
