"""Rooms whose model has an opinion of every case, and what pages ask about it."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from client.store.opinion_shelf import Opinion

AFTER = 'reading.show_ai="after"'
MARK = "the model was unsure of this very case"
MAP = bytes(range(16))


def with_opinions(room: Any, cases: int = 6, missing: int = 0) -> Any:
    """An open cycle whose cases the model has an opinion of, less the last so many."""
    room.open(cases, 4 * cases)
    with room.store() as store, store.transaction():
        store.opinions.put(
            room.study.identity,
            0,
            [Opinion(i, (0.125, 0.75, 0.125), MARK, MAP, 4) for i in range(1, cases + 1 - missing)],
        )
    return room


def look(page: Any, position: int, **more: Any) -> httpx.Response:
    body = {"study": page.study.identity, "cycle": 0, "position": position, **more}
    return page.post("/api/opinion", **body)  # type: ignore[no-any-return]  # the page is a test's own


def change(page: Any, position: int, chosen: int | None, **more: Any) -> httpx.Response:
    value = [] if chosen is None else [int(i == chosen) for i in range(3)]
    body = {
        "study": page.study.identity,
        "submission": secrets.token_hex(16),
        "cycle": 0,
        "position": position,
        "answer": "answered" if value else "unsure",
        "value": value,
        "seconds": 3.0,
        **more,
    }
    return page.post("/api/second-look", **body)  # type: ignore[no-any-return]  # the page is a test's own


def rows(room: Any, sql: str) -> list[tuple[Any, ...]]:
    with room.store() as store:
        return list(store.connection.execute(sql))


def stages(room: Any) -> list[tuple[Any, ...]]:
    return rows(room, "SELECT reader, stage, value FROM readings ORDER BY id")


@pytest.fixture
def room(make_room: Callable[..., Any]) -> Any:
    made = with_opinions(make_room(AFTER, "reading.readers_per_case=2"))
    made.let_in(ann="reader", ben="reader", cleo="adjudicator", dora="admin")
    return made


@pytest.fixture(name="with_opinions")
def _with_opinions() -> Callable[..., Any]:
    """Opens a cycle of which the model has opinions."""
    return with_opinions


@pytest.fixture(name="look")
def _look() -> Callable[..., Any]:
    """Asks for the opinion of a case."""
    return look


@pytest.fixture(name="change")
def _change() -> Callable[..., Any]:
    """Sends a changed mind."""
    return change


@pytest.fixture(name="rows")
def _rows() -> Callable[..., Any]:
    """Asks the database."""
    return rows


@pytest.fixture(name="stages")
def _stages() -> Callable[..., Any]:
    """Who read, at which stage, and what, in order."""
    return stages
