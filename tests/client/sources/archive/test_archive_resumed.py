"""What an archive is asked again for, and an archive that ends in the middle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from client.home import open_store
from client.images import Unreadable
from client.paths import HomePaths
from client.site import Site
from client.sources.dicomweb import KEPT
from client.sources.source import SourceError

pytestmark = pytest.mark.slow

Made = Callable[..., Dataset]
Start = Callable[..., Any]
WORD = "word-of-the-site"
FROM_FILE = {"token_file": "token"}


@pytest.fixture
def study(made: Made) -> Callable[[int], Dataset]:
    """One slice of a study and a patient of its own."""

    def make(i: int) -> Dataset:
        uid = f"1.7.{i}"
        return made(i, StudyInstanceUID=uid, SeriesInstanceUID=f"{uid}.1", PatientID=f"p{i}")

    return make


def test_a_second_import_asks_for_new_and_changed_studies_alone(
    serve: Start,
    log_in: Callable[..., None],
    import_from: Callable[[Any], Any],
    study: Callable[[int], Dataset],
    made: Made,
) -> None:
    archive = serve(*(study(i) for i in range(2)), user=f"site:{WORD}")
    log_in(archive, **{"user": "site", "password": WORD})
    assert import_from(archive).taken.total() == 2
    assert [path for path in archive.asked if path.endswith("metadata")] == [
        "/studies/1.7.0/metadata", "/studies/1.7.1/metadata",
    ]  # fmt: skip

    archive.asked.clear()
    again = import_from(archive)
    assert (again.taken.total(), again.skipped.total()) == (0, 2)
    assert archive.asked == ["/studies"]

    archive.asked.clear()
    archive.held.append(study(2))
    archive.held.append(made(9, StudyInstanceUID="1.7.0", SeriesInstanceUID="1.7.0.2"))
    late = import_from(archive)
    assert late.taken.total() == 2
    assert not [path for path in archive.asked if "1.7.1" in path]
    fetched = [path for path in archive.asked if "/instances/" in path]
    assert [path.split("/")[-1] for path in fetched] == ["1.2.3.9", "1.2.3.2"]


@pytest.mark.parametrize("answered", range(1, 8))
def test_an_archive_that_ends_in_the_middle_loses_nothing(
    serve: Start,
    log_in: Callable[..., None],
    import_from: Callable[[Any], Any],
    study: Callable[[int], Dataset],
    home: Path,
    answered: int,
) -> None:
    archive = serve(*(study(i) for i in range(3)), token=WORD, left=answered)
    log_in(archive, {"token": WORD}, **FROM_FILE)
    whole = answered == 7  # studies, and metadata and an instance of each
    if whole:
        assert import_from(archive).taken.total() == 3
    elif answered == 6:  # the last instance alone: the case is skipped with its reason
        first = import_from(archive)
        assert (first.taken.total(), first.skipped.total()) == (2, 1)
    else:
        with pytest.raises(SourceError, match="broke off; the same import again goes on"):
            import_from(archive)
    assert not list((home / "cache").glob("incoming-*"))

    archive.left = -1
    import_from(archive)
    third = import_from(archive)
    assert (third.taken.total(), third.known, third.skipped.total()) == (0, 0, 3)
    store = open_store(home)
    assert store.locators.next_row() == 3
    assert not store.locators.troubled()
    store.close()


def test_a_login_that_runs_out_costs_no_case(
    serve: Start,
    log_in: Callable[..., None],
    import_from: Callable[[Any], Any],
    study: Callable[[int], Dataset],
    home: Path,
    opened: Callable[[Path], Site],
) -> None:
    archive = serve(study(0), token=WORD)
    log_in(archive, {"token": WORD}, **FROM_FILE)
    import_from(archive)
    site, rows = opened(home), np.arange(1)
    file = HomePaths(home).keys / "token"
    for spoil in (
        lambda: setattr(archive, "token", WORD[::-1]),
        lambda: file.chmod(0o644),
        file.unlink,
    ):
        spoil()
        with pytest.raises(Unreadable, match="cannot be reached") as away:
            site.images.take(rows, (1, 8, 8))
        with pytest.raises(Unreadable, match="cannot be reached"):
            site.images.volume(0)
        assert not list(away.value.rows)
    assert not site.store.locators.troubled()
    log_in(archive, {"token": WORD[::-1]}, **FROM_FILE)
    assert site.images.take(rows, (1, 8, 8)).shape == (1, 1, 8, 8)


@pytest.mark.parametrize("how", ["denied", "torn"])
def test_a_study_that_the_archive_keeps_back_stops_no_other(
    serve: Start,
    log_in: Callable[..., None],
    import_from: Callable[[Any], Any],
    study: Callable[[int], Dataset],
    how: str,
) -> None:
    archive = serve(*(study(i) for i in range(3)), token=WORD, **{how: {"1.7.1"}})
    log_in(archive, {"token": WORD}, **FROM_FILE)
    tally = import_from(archive)
    assert (tally.taken.total(), tally.skipped) == (2, {KEPT: 1})
    setattr(archive, how, set())
    assert import_from(archive).taken.total() == 1


def test_an_instance_that_the_archive_lost_costs_its_case_alone(
    serve: Start,
    log_in: Callable[..., None],
    import_from: Callable[[Any], Any],
    study: Callable[[int], Dataset],
    opened: Callable[[Path], Site],
    home: Path,
) -> None:
    archive = serve(study(0), study(1), token=WORD)
    log_in(archive, {"token": WORD}, **FROM_FILE)
    import_from(archive)
    archive.torn = {"1.2.3.0"}
    site = opened(home)
    with pytest.raises(Unreadable) as lost:
        site.images.take(np.arange(2), (1, 8, 8))
    assert [int(row) for row in lost.value.rows] == [0]
    archive.torn = set()
    assert import_from(archive).moved == 1
    assert site.images.take(np.arange(2), (1, 8, 8)).shape == (2, 1, 8, 8)
