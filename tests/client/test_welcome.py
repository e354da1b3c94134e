"""A site with a privacy account answers nothing before the server has welcomed it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from client.flower.welcome import wait_for_welcome, welcomed
from client.home import open_store
from client.paths import HomePaths
from client.store.privacy_shelf import Opened
from daemons.status import read_status
from protocol.study import parse

ATTENDANCE = """
import json, os, pathlib, time

def tell(heard):
    fresh = pathlib.Path("run/fresh")
    fresh.write_text(json.dumps({"pid": os.getpid(), "heard": heard}))
    fresh.replace("run/attendance.json")

tell("")
while not pathlib.Path("go").exists():
    time.sleep(0.02)
tell("2026-11-22T20:00:00+00:00")
time.sleep(600)
"""
DAEMON = f"""
import pathlib, sys
from daemons.service import Service
from daemons.supervisor import supervise

home = pathlib.Path(sys.argv[1])
one = Service("attendance", (sys.executable, "-c", {ATTENDANCE!r}), grace=1.0)
sys.exit(supervise([one], home, home / "run", home / "logs"))
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home whose daemon keeps only an attendance, welcomed once there is a file `go`."""
    daemon = subprocess.Popen([sys.executable, "-c", DAEMON, str(tmp_path)])
    until(lambda: HomePaths(tmp_path).attendance.exists())
    yield tmp_path
    daemon.terminate()
    daemon.wait(15)


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 15
    while not true():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


def account(home: Path) -> None:
    study = parse(
        {
            "schema": 1,
            "name": "private",
            "task": {
                "classes": [{"name": c, "definition": c} for c in "ab"],
                "image": [1, 8, 8],
            },
            "network": {"name": "tiny-cnn"},
            "training": {"start": "warm"},
            "budget": {"total": 24, "per_cycle": 12},
            "privacy": {"epsilon": 4.0},
        }
    )
    with closing(open_store(home)) as store, store.transaction():
        store.steps.approve(study, "0" * 64)
        opened = Opened(4.0, 1e-4, 8.0, "2026-11-22T20:00:00+00:00")
        store.privacy.open(study.identity, opened)


@pytest.mark.slow
def test_privacy_account_a_step_waits_for_the_welcome_of_the_attendance_that_runs(
    home: Path,
) -> None:
    paths = HomePaths(home)
    wait_for_welcome(paths)  # there is no account to keep
    account(home)
    waiting = threading.Thread(target=wait_for_welcome, args=(paths,), daemon=True)
    waiting.start()
    waiting.join(0.5)
    assert waiting.is_alive()
    (home / "go").touch()
    waiting.join(10)
    assert not waiting.is_alive()
    (home / "go").unlink()
    old = next(s.pid for s in read_status(paths.run).services)
    os.kill(old or 0, signal.SIGKILL)  # the next one has not been welcomed
    until(lambda: not welcomed(paths))
    (home / "go").touch()
    until(lambda: welcomed(paths))


def test_privacy_account_nobody_waits_where_no_daemon_runs(tmp_path: Path) -> None:
    account(tmp_path)
    wait_for_welcome(HomePaths(tmp_path))
