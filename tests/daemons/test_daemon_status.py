"""What a daemon's run folder tells about it."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from daemons.status import read_status

Daemon: TypeAlias = Any  # of conftest.py, which nothing imports


@pytest.mark.slow
def test_the_status_is_always_whole(daemon: Daemon) -> None:
    daemon.start("Service('brief', ('/bin/true',))", "Service('brief-too', ('/bin/false',))")
    file = daemon.home / "run" / "status.json"
    daemon.wait_for(file.exists)
    seen, deadline = set(), time.monotonic() + 10
    while len(seen) < 4:
        assert time.monotonic() < deadline
        content = json.loads(file.read_bytes())
        assert content["format"] == 1
        assert {*content["services"]} == {"brief", "brief-too"}
        seen.add(content["services"]["brief"]["restarts"])


def test_a_status_that_cannot_be_written_ends_no_daemon(daemon: Daemon) -> None:
    (daemon.home / "run" / "status.json").mkdir(parents=True)
    daemon.start("Service('one', ('/bin/sh', '-c', 'echo $$ > one; exec sleep 600'))")
    one = daemon.home / "one"
    daemon.wait_for(lambda: one.exists() and one.read_text() != "")
    os.kill(int(one.read_text()), signal.SIGKILL)
    one.unlink()
    daemon.wait_for(one.exists)
    (daemon.home / "run" / "status.json").rmdir()
    daemon.up("one")


def test_a_home_that_never_ran(tmp_path: Path) -> None:
    status = read_status(tmp_path / "run")
    assert (status.state, status.healthy, status.services) == ("stopped", False, ())
    assert status.as_text() == "daemon stopped"


def test_the_status_for_a_person_and_for_a_program(daemon: Daemon) -> None:
    main = daemon.start(daemon.sleep)
    (pid,) = daemon.up("sleep")
    status = daemon.status()
    assert status.healthy
    assert status.as_dict()["pid"] == main.pid
    assert status.as_dict()["services"]["sleep"]["pid"] == pid  # type: ignore[index]
    assert status.as_text().splitlines()[1].split() == ["sleep", "up"]
