"""Whatever two readers do, nobody sees the model before they answered."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.queue import ReadingRefused
from client.store.opinion_shelf import Opinion

Made = Callable[..., Any]

AFTER = 'reading.show_ai="after"'
MARK = "the model was unsure of this very case"


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.data())
def test_whatever_is_asked_nobody_sees_before_they_answered(data: st.DataObject) -> None:
    """Any order of acts by two readers: an opinion is served only to who has answered the case."""
    from tempfile import TemporaryDirectory

    from client.room.desk import Desk, Given
    from client.room.second import SecondLook
    from client.store.reader_shelf import Account

    with TemporaryDirectory() as folder:
        room = small(Path(folder))
        people = {n: Account(n, "reader", "x", "2026") for n in ("ann", "ben")}
        with room.store() as store:
            desk, second = Desk(store), SecondLook(store)
            for _ in range(data.draw(st.integers(5, 25))):
                who = people[data.draw(st.sampled_from(("ann", "ben")))]
                act = data.draw(st.sampled_from(("read", "look", "change", "undo")))
                position = data.draw(st.integers(0, 3))
                answer = Given(secrets.token_hex(8), 0, position, "answered", (0, 1, 0), 1.0)
                own = rows_of(store, who.name, position)
                try:
                    if act == "read":
                        desk.next(room.study, who)
                        desk.answer(room.study, who, answer)
                    elif act == "look":
                        second.opinion(room.study, who, 0, position)
                        assert own
                    elif act == "change":
                        second.change(room.study, who, answer)
                        assert own
                    else:
                        desk.undo(room.study, who)
                except ReadingRefused:
                    pass
            blind_after_shown = store.connection.execute(
                'SELECT count(*) FROM shown h JOIN readings r ON r."case" = h."case" '
                "AND r.reader = h.reader AND r.stage = 'blind' WHERE h.what = 'model' AND "
                "(r.id IN (SELECT reading FROM withdrawals) AND NOT EXISTS "
                '(SELECT 1 FROM standing s WHERE s."case" = r."case" AND s.reader = r.reader))'
            ).fetchone()
            assert blind_after_shown == (0,)


def rows_of(store: Any, reader: str, position: int) -> list[Any]:
    sql = (
        'SELECT 1 FROM standing s JOIN openings o ON o."case" = s."case" '
        "WHERE reader = ? AND position = ?"
    )
    return list(store.connection.execute(sql, (reader, position)))


def small(folder: Path) -> Any:
    """A room of four cases without any image."""
    from contextlib import closing
    from types import SimpleNamespace

    from client.home import open_store
    from client.keys import SiteKey
    from client.site import Arrival, enrol
    from client.store.reader_shelf import Account
    from client.store.reading_shelf import Opening
    from protocol.study import parse

    document = {
        "schema": 1,
        "name": "second",
        "task": {
            "image": [1, 8, 8],
            "classes": [{"name": n, "definition": n} for n in ("a", "b", "c")],
        },
        "network": {"name": "tiny-cnn"},
    }
    study = parse(document, (AFTER, "reading.readers_per_case=2"))
    store = open_store(folder, durable=False)
    names = [str(i) for i in range(4)]
    enrol(store, SiteKey(bytes(16)), Arrival(names, names, ["pool"] * 4, range(4)), clustered=False)
    with store.transaction():
        store.steps.approve(study, "w")
        for name in ("ann", "ben"):
            store.readers.add(Account(name, "reader", "x", "2026"))
        store.readings.grant(study.identity, 0, 0, 20)
        store.readings.open(study.identity, 0, [Opening(i, "query") for i in range(1, 5)])
        store.opinions.put(
            study.identity, 0, [Opinion(i, (0.2, 0.5, 0.3), "w") for i in range(1, 5)]
        )
    store.close()
    return SimpleNamespace(study=study, store=lambda: closing(open_store(folder, durable=False)))
