"""`wardround-site import`: what it prints, and that a kill costs nothing that was taken."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from client.home import HomeConfig, make_home, open_store
from client.joining import make_site
from client.patients import site_key

pytestmark = pytest.mark.slow

Made = Callable[..., Dataset]
Write = Callable[..., Path]


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from client.cli import main; main()", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_what_was_taken_skipped_and_why(
    made: Made, write: Write, planted: str, home: Path, tmp_path: Path
) -> None:
    root = write(
        tmp_path / planted,
        made(0),
        made(1, SeriesInstanceUID="1.2.7", PixelData=b"\0\0"),
        made(2, SeriesInstanceUID="1.2.8", BurnedInAnnotation="YES"),
    )
    dry = run("import", root, "--home", home, "--dry-run")
    assert dry.stdout.splitlines()[0] == "would be taken: 1 cases of 1 patients (1 CT)"
    store = open_store(home)
    assert store.locators.next_row() == 0
    done = run("import", root, "--home", home, "--format", "json")
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["taken"] == {"cases": 1, "patients": 1}
    broken = next(s for s in told["skipped"] if "broken" in s["reason"])
    assert broken["cases"] == [site_key(home).case("1.2|1.2.7")]
    more = run("import", root, "--home", home, "--allow", "burned-in")
    assert "there already: 1 cases" in more.stdout
    assert planted not in dry.stdout + dry.stderr + done.stdout + done.stderr + more.stdout
    words = [row[0] for row in store.connection.execute("SELECT words FROM audit")]
    assert words == ["1 cases", "1 cases"]
    store.close()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("nowhere",), 2, "not there"),
        ((".", "--allow", "all"), 2, "--allow all: accepted are"),
        ((".", "--kind", "pacs"), 2, "accepted are dicom"),
        ((".", "--classes", "a,a"), 2, "twice"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(
    words: tuple[str, ...], code: int, says: str, home: Path
) -> None:
    done = run("import", *words, "--home", home)
    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_home_of_one_array_takes_no_imports(tmp_path: Path) -> None:
    make_site(tmp_path / "h", "north")
    make_home(tmp_path / "h", HomeConfig(name="north", images="i.npy"))
    done = run("import", tmp_path, "--home", tmp_path / "h")
    assert (done.returncode, "one array" in done.stderr) == (2, True)


def test_a_killed_import_is_taken_up_and_two_never_run_at_once(
    made: Made, write: Write, home: Path, tmp_path: Path
) -> None:
    series = [made(i, SeriesInstanceUID=f"1.2.{i}", PatientID=f"p{i // 2}") for i in range(160)]
    root = write(tmp_path / "a", *series)
    command = "from client.cli import main; main()"
    words = ["import", str(root), "--home", str(home)]
    child = subprocess.Popen([sys.executable, "-c", command, *words], stdout=subprocess.DEVNULL)
    store = open_store(home)
    until = time.monotonic() + 60
    while store.locators.next_row() < 32 and time.monotonic() < until:
        time.sleep(0.01)
    refused = run(*words)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert refused.returncode in (0, 3)  # 0 where the first one was done already
    taken = store.locators.next_row()
    assert taken >= 32
    done = json.loads(run(*words, "--format", "json").stdout)
    assert done["known"] >= taken
    assert done["known"] + done["taken"]["cases"] == 160
    counted = store.connection.execute("SELECT count(*), count(DISTINCT row) FROM cases")
    assert counted.fetchone() == (160, 160)
    assert store.connection.execute("SELECT count(*) FROM locators").fetchone() == (160,)
    store.close()
