"""DICOMweb against a real Orthanc, in a network of its own: it would bind every interface."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import JPEGLSLossless

from client.home import open_store
from client.paths import HomePaths
from client.sources.reach import Reach
from client.sources.source import SourceError

Made = Callable[..., Dataset]
Write = Callable[..., Path]

PLUGINS = Path("/usr/share/orthanc/plugins")
URL = "http://127.0.0.1:18042/dicom-web"
ready = shutil.which("Orthanc") and PLUGINS.is_dir() and shutil.which("nsenter")
namespaces = ready and subprocess.run(["unshare", "-n", "true"], check=False).returncode == 0
orthanc = pytest.mark.skipif(
    not namespaces, reason="needs Orthanc, its DICOMweb plug-in and the right to make namespaces"
)
UPLOAD = """
import pathlib, requests, sys
for file in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    requests.post("http://127.0.0.1:18042/instances", data=file.read_bytes(),
                  auth=("site", "let-me-in"), timeout=20).raise_for_status()
"""
READ = """
import json, pathlib, sys, numpy as np
from client.opening import open_home
site = open_home(pathlib.Path(sys.argv[1]))
volumes = [site.images.volume(row) for row in range(2)]
small = site.images.take(np.arange(2), (1, 8, 8))
print(json.dumps([sorted(v.slices[:, 0, 0].tolist() for v in volumes), small.shape]))
site.images.close()
"""
Inside = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def inside(tmp_path: Path, home: Path) -> Iterator[Inside]:
    """Runs Python in the network where Orthanc listens."""
    config = {
        "HttpPort": 18042,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {"site": "let-me-in"},
        "DicomServerEnabled": False,
        "Plugins": [str(PLUGINS)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        "StorageDirectory": str(tmp_path / "storage"),
        "IndexDirectory": str(tmp_path / "storage"),
    }
    (tmp_path / "orthanc.json").write_text(json.dumps(config))
    start = f"ip link set lo up; exec Orthanc {tmp_path}/orthanc.json"
    log = (tmp_path / "orthanc.log").open("w")
    child = subprocess.Popen(["unshare", "-n", "bash", "-c", start], stdout=log, stderr=log)

    def run(code: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
        command = ["nsenter", "-t", str(child.pid), "-n", sys.executable, "-c", code]
        return subprocess.run(
            [*command, *map(str, words)], capture_output=True, text=True, timeout=120, check=False
        )

    login = HomePaths(home).keys / "dicomweb.json"
    login.write_text(json.dumps({URL: {"user": "site", "password": "let-me-in"}}))
    login.chmod(0o600)
    until = time.monotonic() + 60
    probe = "import socket; socket.create_connection(('127.0.0.1', 18042), 1)"
    while run(probe).returncode and time.monotonic() < until:
        time.sleep(0.1)
    yield run
    child.terminate()
    child.wait(30)
    log.close()


def imported(inside: Inside, home: Path, *words: str) -> dict[str, Any]:
    command = "from client.cli import main; main()"
    done = inside(command, "import", URL, "--home", home, "--format", "json", *words)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@orthanc
@pytest.mark.slow
def test_an_archive_is_taken_kept_in_step_and_read_on_demand(
    inside: Inside, made: Made, write: Write, planted: str, home: Path, tmp_path: Path
) -> None:
    squeezed = made(5, StudyInstanceUID="1.3", SeriesInstanceUID="1.3.1", PatientID="other")
    squeezed.compress(JPEGLSLossless, generate_instance_uid=False)
    hidden = made(6, StudyInstanceUID="1.4", SeriesInstanceUID="1.4.1", BurnedInAnnotation="YES")
    first = write(tmp_path / "first", *(made(i) for i in (2, 0, 1)), squeezed, hidden)
    assert inside(UPLOAD, first).returncode == 0

    told = imported(inside, home)
    assert told["taken"] == {"cases": 2, "patients": 2}
    assert any("burned" in skipped["reason"] for skipped in told["skipped"])
    values, small = json.loads(inside(READ, home).stdout)
    assert values == [[1000, 1001, 1002], [1005]]  # by place; the compressed one exactly
    assert small == [2, 1, 8, 8]

    again = imported(inside, home)
    assert again["taken"]["cases"] == 0
    assert [s["count"] for s in again["skipped"] if "as they were" in s["reason"]] == [3]

    new = made(7, StudyInstanceUID="1.5", SeriesInstanceUID="1.5.1", PatientID="third")
    assert inside(UPLOAD, write(tmp_path / "late", made(3), new)).returncode == 0
    late = imported(inside, home)
    assert late["taken"]["cases"] == 1
    changed = [s for s in late["skipped"] if "other instances" in s["reason"]]
    assert [s["count"] for s in changed] == [1]

    everything = b"".join(p.read_bytes() for p in sorted(home.rglob("*")) if p.is_file())
    assert planted.encode() not in everything
    assert not list((home / "cache").glob("incoming-*"))


@orthanc
@pytest.mark.slow
def test_a_wrong_login_and_an_archive_that_is_away_say_so(inside: Inside, home: Path) -> None:
    login = HomePaths(home).keys / "dicomweb.json"
    login.write_text(json.dumps({URL: {"user": "site", "password": "wrong-word"}}))
    command = "from client.cli import main; main()"
    for url in (URL, "http://127.0.0.1:1/dicom-web"):
        done = inside(command, "import", url, "--home", home)
        assert done.returncode == 2
        assert "does not answer as DICOMweb" in done.stderr
        assert "wrong-word" not in done.stderr
    store = open_store(home)
    assert store.locators.next_row() == 0
    store.close()


def test_a_login_is_secret_whole_and_never_in_the_clear(home: Path) -> None:
    file = HomePaths(home).keys / "dicomweb.json"
    reach = Reach(HomePaths(home))
    assert reach.server(URL) == {"url": URL}
    plain = "://".join(("http", "archive/dicom-web"))
    file.write_text(json.dumps({plain: {"user": "a", "password": "b"}, URL: {"word": "c"}}))
    file.chmod(0o644)
    for url, mode, sentence in (
        (URL, 0o644, "0600"),
        (URL, 0o600, "accepted are"),
        (plain, 0o600, "plain http"),
    ):
        os.chmod(file, mode)
        with pytest.raises(SourceError, match=sentence):
            reach.server(url)
    safe = plain.replace("http", "https")
    file.write_text(json.dumps({f"{safe}/": {"authority": "ca.pem"}}))
    told = reach.server(safe)
    assert told["authority"] == str(HomePaths(home).keys / "ca.pem")
    assert np.all([k in ("url", "authority") for k in told])
