"""DICOM folders: what becomes a case, what is passed over, and what is found again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    generate_uid,
)

from client.images import Unreadable
from client.patients import exclude, purge, site_key
from client.site import Site
from client.sources.importing import CHANGED, PURGED, Tally

REAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "dicom"
real = pytest.mark.skipif(not REAL.is_dir(), reason="the developers' DICOM files are not here")
PLANTED = "ZEBEDEE-QUILLFEATHER"
EVERYTHING = frozenset({"secondary", "burned-in", "unmarked", "no-patient"})

Take = Callable[..., Tally]
Made = Callable[..., Dataset]
Write = Callable[..., Path]
BytesOf = Callable[[Path], bytes]
Opened = Callable[[Path], Site]


@pytest.mark.slow
def test_a_series_is_a_case_with_its_slices_from_foot_to_head(
    made: Made,
    write: Write,
    opened: Opened,
    home: Path,
    take: Take,
    tmp_path: Path,
) -> None:
    root = write(tmp_path / "a", *(made(i) for i in (2, 0, 1)))
    tally = take(root)
    assert tally.taken == {"CT": 1}
    volume = opened(home).images.volume(0)
    assert volume.slices.shape == (3, 16, 12)
    assert volume.slices[:, 0, 0].tolist() == [1000, 1001, 1002]  # by position, not by number
    assert volume.geometry.spacing == (2.5, 0.5, 0.7)
    assert volume.geometry.directions == ("R", "L", "A", "P")
    assert (volume.geometry.intercept, volume.geometry.unit) == (-1000.0, "HU")
    assert volume.geometry.windows[0].name == "soft tissue"


@pytest.mark.slow
def test_names_are_nowhere(
    made: Made,
    write: Write,
    bytes_of: BytesOf,
    opened: Opened,
    home: Path,
    take: Take,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert PLANTED in made().PatientID
    site = opened(home)  # so that the write-ahead log is there and is searched, too
    broken = made(9, SeriesInstanceUID="1.2.9", PixelData=b"\0\0")
    take(write(home.parent / PLANTED, made(0), made(1), broken))
    site.images.volume(0)
    site.images.take(np.array([0]), (1, 8, 8))
    everything = bytes_of(home)
    assert (home / "site.db-wal").stat().st_size  # searched, too
    for name in (PLANTED, PLANTED.lower(), "QUILLFEATHER"):
        assert name.encode() not in everything
        assert name.encode("utf-16-le") not in everything
    assert PLANTED not in "".join(capfd.readouterr())
    facts = site.store.locators.of_rows([0])[0].located.facts
    assert facts == '{"age": "90+", "modality": "CT", "month": "2024-01", "sex": "F"}'


@pytest.mark.slow
def test_the_same_import_again_takes_nothing_and_a_late_slice_changes_nothing(
    made: Made,
    write: Write,
    opened: Opened,
    home: Path,
    take: Take,
    tmp_path: Path,
) -> None:
    root = write(tmp_path / "a", made(0), made(1))
    assert take(root, dry=True).taken == {"CT": 1}
    assert take(root).taken == {"CT": 1}
    again = take(root)
    assert (again.taken.total(), again.known, again.moved) == (0, 1, 0)
    made(2).save_as(root / "late", enforce_file_format=True)
    late = take(root)
    assert late.taken.total() == 0
    assert late.skipped == {CHANGED: 1}
    assert late.keys[CHANGED][0] == site_key(home).case("1.2|1.2.3")
    assert opened(home).images.volume(0).slices.shape[0] == 2


@pytest.mark.slow
def test_a_folder_that_moved_is_found_again(
    made: Made,
    write: Write,
    opened: Opened,
    home: Path,
    take: Take,
    tmp_path: Path,
) -> None:
    take(write(tmp_path / "a", made(0)))
    (tmp_path / "a").rename(tmp_path / "b")
    images = opened(home).images
    with pytest.raises(Unreadable, match="cannot be reached") as gone:
        images.volume(0)
    assert gone.value.rows == ()  # nothing is noted of the case: a share may be away for an hour
    (tmp_path / "a").mkdir()  # where it would be mounted
    with pytest.raises(Unreadable, match="cannot be reached"):
        images.volume(0)
    assert take(tmp_path / "b").moved == 1
    assert images.volume(0).slices.shape == (1, 16, 12)


@pytest.mark.slow
def test_a_file_that_is_exchanged_or_lost_makes_its_case_unreadable_until_it_is_back(
    made: Made,
    write: Write,
    opened: Opened,
    home: Path,
    take: Take,
    tmp_path: Path,
) -> None:
    root = write(tmp_path / "a", made(0), made(1, SeriesInstanceUID="1.2.4"))
    take(root)
    site = opened(home)
    other = made(7)
    kept = (root / f"{PLANTED}-0").read_bytes()
    other.save_as(root / f"{PLANTED}-0", enforce_file_format=True)
    with pytest.raises(Unreadable, match="1 of 2") as lost:
        site.images.take(np.array([0, 1]), (1, 8, 8))
    assert lost.value.rows == (0,)
    assert site.store.cases.pool("none", 0.0, 0).tolist() == [2]
    (root / f"{PLANTED}-0").write_bytes(kept)
    assert take(root).moved == 1
    assert site.images.take(np.array([0, 1]), (1, 8, 8)).shape == (2, 1, 8, 8)
    assert site.store.cases.pool("none", 0.0, 0).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"BurnedInAnnotation": "YES"}, "burned into"),
        ({"Modality": "US"}, "--allow unmarked"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "secondary capture"),
        ({"PatientID": ""}, "no patient ID"),
        ({"Modality": "SEG"}, "no image"),
        ({"SeriesInstanceUID": ""}, "UID"),
    ],
)
def test_what_may_show_names_or_is_no_image_is_skipped_with_its_reason(
    made: Made,
    write: Write,
    take: Take,
    tmp_path: Path,
    changes: dict[str, str],
    reason: str,
) -> None:
    tally = take(write(tmp_path / "a", made(**changes)))
    assert not tally.taken
    assert [reason in words for words in tally.skipped] == [True]


@pytest.mark.slow
def test_a_series_of_two_sizes_or_two_patients_is_skipped_by_its_key(
    made: Made,
    write: Write,
    home: Path,
    take: Take,
    tmp_path: Path,
) -> None:
    short = made(1, Rows=8, PixelData=np.zeros((8, 12), "<i2").tobytes())
    tally = take(write(tmp_path / "a", made(0), short))
    stranger = made(1, PatientID="other")
    more = take(write(tmp_path / "b", made(0), stranger))
    assert not tally.taken
    assert not more.taken
    keys = [*tally.keys.values(), *more.keys.values()]
    assert keys == [[site_key(home).case("1.2|1.2.3")]] * 2


@pytest.mark.slow
def test_x_rays_are_cases_one_by_one(
    made: Made,
    write: Write,
    take: Take,
    tmp_path: Path,
) -> None:
    tally = take(write(tmp_path / "a", *(made(i, Modality="DX") for i in range(3))))
    assert tally.taken == {"DX": 3}
    assert len(tally.patients) == 1


@pytest.mark.slow
def test_purge_leaves_no_pixels_and_stays_away(
    made: Made,
    write: Write,
    bytes_of: BytesOf,
    opened: Opened,
    home: Path,
    take: Take,
    tmp_path: Path,
) -> None:
    marked = np.frombuffer(b"PIXELCANARY!" * 32, "<i2").reshape(16, 12)
    root = write(tmp_path / "a", made(0, PixelData=marked.tobytes()))
    take(root)
    site = opened(home)
    assert (site.images.volume(0).slices[0] == marked).all()
    assert b"PIXELCANARY!" in bytes_of(home)
    assert exclude(site.store, site_key(home), f"{PLANTED}-7") == 1
    assert purge(home, site.store, site_key(home), f"{PLANTED}-7") == 1
    assert b"PIXELCANARY!" not in bytes_of(home)
    assert not [p for p in (home / "cache").rglob("*") if p.is_file()]
    assert take(root).skipped == {PURGED: 1}


@pytest.mark.slow
def test_ten_thousand_uids_never_collide_in_a_pin(
    home: Path,
) -> None:
    key = site_key(home)
    assert key.instances(["1", "23"]) != key.instances(["12", "3"])
    assert key.instances(["b", "a"]) == key.instances(["a", "b"])
    assert key.instances([str(generate_uid())]) != key.instances([])
