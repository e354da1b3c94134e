"""DICOMweb against a real Orthanc: what is new, what changed, a break in the middle."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import JPEGLSLossless

from client.home import open_store
from client.paths import HomePaths
from client.sources.reach import Reach
from client.sources.source import SourceError

Made = Callable[..., Dataset]
Write = Callable[..., Path]
URL = "http://127.0.0.1:18042/dicom-web"


@pytest.mark.slow
def test_an_archive_is_taken_kept_in_step_and_read_on_demand(
    archive: Any, read: Any, made: Made, write: Write, planted: str, tmp_path: Path
) -> None:
    archive.start()
    archive.log_in()
    squeezed = made(5, StudyInstanceUID="1.3", SeriesInstanceUID="1.3.1", PatientID="other")
    squeezed.compress(JPEGLSLossless, generate_instance_uid=False)
    hidden = made(6, StudyInstanceUID="1.4", SeriesInstanceUID="1.4.1", BurnedInAnnotation="YES")
    archive.upload(write(tmp_path / "first", *(made(i) for i in (2, 0, 1)), squeezed, hidden))

    told = archive.imported()
    assert told["taken"] == {"cases": 2, "patients": 2}
    assert any("burned" in skipped["reason"] for skipped in told["skipped"])
    values, small = json.loads(read(archive, 2).stdout)
    assert values == [[1000, 1001, 1002], [1005]]  # by place; the compressed one exactly
    assert small == [2, 1, 8, 8]

    again = archive.imported()
    assert again["taken"]["cases"] == 0
    assert [s["count"] for s in again["skipped"] if "as they were" in s["reason"]] == [3]

    new = made(7, StudyInstanceUID="1.5", SeriesInstanceUID="1.5.1", PatientID="third")
    archive.upload(write(tmp_path / "late", made(3), new))
    late = archive.imported()
    assert late["taken"]["cases"] == 1
    changed = [s for s in late["skipped"] if "other instances" in s["reason"]]
    assert [s["count"] for s in changed] == [1]

    home = archive.home
    everything = b"".join(p.read_bytes() for p in sorted(home.rglob("*")) if p.is_file())
    assert planted.encode() not in everything
    assert not list((home / "cache").glob("incoming-*"))


@pytest.mark.slow
def test_an_archive_that_dies_in_the_middle_of_an_import(
    archive: Any, made: Made, write: Write, tmp_path: Path
) -> None:
    archive.start()
    archive.log_in()
    ids = [{"StudyInstanceUID": f"1.8.{i}", "SeriesInstanceUID": f"1.8.{i}.1"} for i in range(120)]
    slices = (made(i, PatientID=f"p{i}", **uids) for i, uids in enumerate(ids))
    archive.upload(write(tmp_path / "many", *slices))
    command = archive.entered(sys.executable, "-c", archive.command, "import", archive.url)
    with subprocess.Popen(
        [*command, "--home", str(archive.home)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as under_way:
        store = open_store(archive.home)
        until = time.monotonic() + 60
        while store.locators.next_row() < 32 and time.monotonic() < until:
            time.sleep(0.01)
        archive.end(kill=True)
        _, said = under_way.communicate(timeout=120)
    assert (under_way.returncode, b"the same import again goes on" in said) == (2, True)
    assert b"Traceback" not in said
    taken = store.locators.next_row()
    assert 32 <= taken < 120
    archive.start()
    told = archive.imported()
    assert told["taken"]["cases"] == 120 - taken
    assert store.locators.next_row() == 120
    assert not store.locators.troubled()
    store.close()


@pytest.mark.slow
def test_a_wrong_login_and_an_archive_that_is_away_say_so(archive: Any) -> None:
    archive.start()
    wrong = "wrong-word"
    archive.log_in(password=wrong)
    for url, sentence in (
        (archive.url, "refuses the login that keys/dicomweb.json has for it"),
        ("http://127.0.0.1:1/dicom-web", "does not answer as DICOMweb"),
    ):
        done = archive.site("import", url)
        assert done.returncode == 2
        assert sentence in done.stderr
        assert wrong not in done.stderr
    store = open_store(archive.home)
    assert store.locators.next_row() == 0
    store.close()


def test_a_login_is_secret_whole_and_never_in_the_clear(home: Path) -> None:
    file = HomePaths(home).keys / "dicomweb.json"
    reach = Reach(HomePaths(home))
    assert reach.server(URL) == {"url": URL}
    plain = "://".join(("http", "archive/dicom-web"))
    file.write_text(json.dumps({plain: {"user": "a", "password": "b"}, URL: {"word": "c"}}))
    for url, mode, sentence in (
        (URL, 0o644, "0600"),
        (URL, 0o600, "accepted are"),
        (plain, 0o600, "plain http"),
    ):
        file.chmod(mode)
        with pytest.raises(SourceError, match=sentence):
            reach.server(url)
