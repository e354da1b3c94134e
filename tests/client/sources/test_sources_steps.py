"""A study's steps over imported cases: any size, and a file that is lost on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from client.home import open_store
from client.patients import site_key
from client.site import Site
from client.sources.decoder import Decoder
from client.sources.importing import Import
from client.sources.pictures import PictureTable
from protocol.codec import digest
from protocol.records import Grant
from protocol.study import Study


@pytest.fixture
def imported(home: Path, decoder: Decoder, tmp_path: Path) -> Path:
    """40 pictures of 16 x 12 of 20 patients; the folder."""
    (home / "keys" / "site.secret").write_bytes(b"s" * 32)  # the same audit patients always
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = ["path,patient_id"]
    for i in range(40):
        pixels = rng.integers(0, 120, (16, 12), dtype=np.uint8)
        pixels[4:10, 3:8] += np.uint8(100 * (i % 2))
        Image.fromarray(pixels).save(folder / f"{i:02d}.png")
        rows.append(f"{i:02d}.png,p{i // 2}")
    (folder / "list.csv").write_text("\n".join(rows) + "\n")
    store = open_store(home)
    Import(store, site_key(home), decoder).run(PictureTable(folder / "list.csv"))
    store.close()
    return folder


@pytest.mark.slow
def test_a_study_learns_from_imported_cases_and_goes_on_without_a_lost_one(
    imported: Path,
    home: Path,
    opened: Callable[[Path], Site],
    tiny_study: Callable[..., Study],
    first_weights: Callable[[Study], Any],
    ask: Callable[..., Any],
    read_cases: Callable[..., int],
) -> None:
    study = tiny_study()
    arrays = first_weights(study)
    site = replace(opened(home), durable=False, least_patients=0)
    with site.store.transaction():
        site.store.steps.approve(study, digest(arrays))
    pool = site.store.cases.pool(study.identity, study.audit.patients, 0)
    lost = int(site.store.cases.rows(pool[:1])[0])
    (imported / f"{lost:02d}.png").unlink()
    assert ask(site, study, "report", arrays=arrays).pool == len(pool) - 1
    ask(site, study, "select", grant=Grant(8, ""))
    chosen = site.store.readings.opened(study.identity, 0)
    assert int(pool[0]) not in {opening.case for opening in chosen}
    assert read_cases(site.store, study) == 8

    for file in imported.glob("*.png"):
        file.write_bytes(b"torn")  # what was scored is in the cache; audit cases are not
    audit = sum(opening.purpose == "audit" for opening in chosen)
    assert ask(site, study, "train", arrays=arrays).weight == 8 - audit
    measured = ask(site, study, "evaluate", arrays=arrays).audit
    assert (measured.cases, measured.unsettled) == (0, audit)
    assert (
        len(site.store.cases.pool(study.identity, study.audit.patients, 1)) == len(pool) - 9 + audit
    )
