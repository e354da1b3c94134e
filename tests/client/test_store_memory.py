from __future__ import annotations

from pathlib import Path

import pytest

from client.store.store import SiteStore
from protocol.records import StepKey
from protocol.study import parse

STUDY = {
    "schema": 1,
    "name": "memory",
    "task": {"classes": [{"name": n, "definition": n} for n in ("a", "b")]},
}


@pytest.mark.slow
def test_a_store_keeps_no_copy_of_what_it_wrote(tmp_path: Path) -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    study = parse(STUDY)
    stores = [SiteStore.open(tmp_path / f"{i}.db", durable=False) for i in range(12)]
    for store in stores:
        with store.transaction():
            store.steps.approve(study, "w")
        store.rest()
    reply = bytes(4_000_000)
    before = resident()
    key = StepKey(study.identity, 0, "train")
    for store in stores:
        with store.transaction():
            store.steps.remember(key, "p", reply, "now")
        store.rest()
    grown = resident() - before
    kept = [store.steps.recall(key, "p") for store in stores]
    for store in stores:
        store.close()
    assert kept == [reply] * 12
    assert grown < 12 * len(reply) / 2
