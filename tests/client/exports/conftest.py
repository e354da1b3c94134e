"""A site with an open cycle, for exports and for labels that come back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from client.home import HomeConfig, make_home, open_store
from client.joining import make_site
from client.patients import site_key
from client.queue import accept
from client.site import Arrival, enrol
from client.sources.seal import Seal
from client.store.locator_shelf import Located
from client.store.reader_shelf import Account
from client.store.reading_shelf import Opening, Remarks
from client.store.store import now
from protocol.records import Reading
from protocol.study import Study, parse

CASES = 12
DOCUMENT = {
    "schema": 1,
    "name": "chest",
    "task": {
        "image": [1, 32, 32],
        "classes": [
            {"name": "clear", "definition": "Nothing there."},
            {"name": "opacity", "definition": "Something there."},
        ],
    },
    "network": {"name": "tiny-cnn"},
    "reading": {"readers_per_case": 2},
    "budget": {"total": 40, "per_cycle": 20},
}


class North:
    """A site with an open cycle: six cases, the first of them for audit."""

    def __init__(self, home: Path, study: Study, grant: int) -> None:
        self.home, self.study = home, study
        key = site_key(home)
        names = [f"jane-doe-{i}" for i in range(CASES)]
        self.keys = [key.case(name) for name in names]
        located = [
            Located(k, Seal(key).close({"kind": "picture", "root": "/scans", "files": [n]}, k), "p")
            for k, n in zip(self.keys, names, strict=True)
        ]
        with self.store() as store:
            arrival = Arrival(names, names, ["pool"] * CASES, range(CASES), located=located)
            enrol(store, key, arrival, clustered=True)
            with store.transaction():
                store.steps.approve(study, "w")
                store.readings.grant(study.identity, 0, 0, grant)
                purposes = ["audit", *["query"] * 5]
                opened = [Opening(i + 1, p) for i, p in enumerate(purposes)]  # type: ignore[arg-type]  # of the three words
                store.readings.open(study.identity, 0, opened)
                for name, role in (("ann", "reader"), ("ben", "reader"), ("cleo", "adjudicator")):
                    store.readers.add(Account(name, role, "", now()))  # type: ignore[arg-type]  # of the three words

    def store(self) -> Any:
        return closing(open_store(self.home, durable=False))

    def read(self, reader: str, case: int, chosen: int, **remarks: Any) -> None:
        with self.store() as store, store.transaction():
            opening = next(
                o for o in store.readings.opened(self.study.identity, 0) if o.case == case + 1
            )
            value = [0] * len(self.study.task.classes)
            value[chosen] = 1
            reading = Reading(self.keys[case], reader, now(), 7.5, "answered", tuple(value))
            accept(store, self.study, 0, opening, reading, Remarks(**remarks))

    def answers(self) -> list[tuple[Any, ...]]:
        with self.store() as store:
            sql = 'SELECT "case", reader, answer, value, seconds FROM standing ORDER BY id'
            return list(store.connection.execute(sql))


@pytest.fixture
def north(tmp_path: Path) -> Callable[..., North]:
    def make(*overrides: str, grant: int = 20) -> North:
        home = tmp_path / "north"
        make_site(home, "north")
        make_home(home, HomeConfig(name="north", durable=False))
        return North(home, parse(DOCUMENT, overrides), grant)

    return make
