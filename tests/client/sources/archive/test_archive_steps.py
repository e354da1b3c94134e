"""A study's steps over an archive, and how much memory a large case takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from client.home import open_store
from client.images import Unreadable
from client.paths import HomePaths
from client.patients import site_key
from client.sources.choosing import Wanted, source_of
from client.sources.decoder import Decoder, Limits
from client.sources.importing import Import
from client.sources.labels import Labels
from client.sources.reach import Reach
from protocol.records import Grant

pytestmark = pytest.mark.slow
Made = Callable[..., Dataset]
WORD = "word-of-the-site"
FROM_FILE = {"token_file": "token"}


def test_a_login_that_runs_out_in_a_cycle_holds_the_step_up_and_loses_nothing(
    serve: Callable[..., Any],
    log_in: Callable[..., None],
    import_from: Callable[[Any], Any],
    made: Made,
    home: Path,
    steps: Any,
) -> None:
    (home / "keys" / "site.secret").write_bytes(b"s" * 32)  # the same audit patients always
    uids = [{"StudyInstanceUID": f"1.7.{i}", "SeriesInstanceUID": f"1.7.{i}.1"} for i in range(40)]
    held = [made(i, PatientID=f"p{i // 2}", **one) for i, one in enumerate(uids)]
    archive = serve(*held, token=WORD)
    log_in(archive, {"token": WORD}, **FROM_FILE)
    import_from(archive)
    site, study, arrays = steps.begun(home)
    archive.token = WORD[::-1]
    with pytest.raises(Unreadable, match="cannot be reached"):
        steps.ask(site, study, "report", arrays=arrays)
    assert not site.store.locators.troubled()
    log_in(archive, {"token": WORD[::-1]}, **FROM_FILE)
    pool = site.store.cases.pool(study.identity, study.audit.patients, 0)
    assert steps.ask(site, study, "report", arrays=arrays).pool == len(pool)
    steps.ask(site, study, "select", grant=Grant(8, ""))
    assert steps.read_cases(site.store, study) == 8
    assert steps.ask(site, study, "train", arrays=arrays).weight > 0


def test_a_case_larger_than_the_childs_memory_is_fetched_and_read(
    serve: Callable[..., Any], log_in: Callable[..., None], made: Made, home: Path
) -> None:
    size, slices = 4096, 30  # 32 MiB each: together more than the child may take
    pixels = bytes(size * size * 2)
    held = [made(i, Rows=size, Columns=size, PixelData=pixels) for i in range(slices)]
    archive = serve(*held, token=WORD)
    log_in(archive, {"token": WORD}, **FROM_FILE)
    limit = 900 << 20
    assert slices * len(pixels) > limit
    store, reach = open_store(home), Reach(HomePaths(home))
    with Decoder(Limits(memory=limit, seconds=120)) as decoder:
        task = Import(store, site_key(home), decoder, reach=reach)
        wanted = Wanted(archive.url, "", frozenset(), Labels(), lambda _: None, reach)
        tally = task.run(source_of(wanted, decoder))
    store.close()
    assert (tally.taken, tally.skipped) == ({"CT": 1}, {})
    assert not list((home / "cache").glob("incoming-*"))
