"""Attendance as the supervisor starts it: a process that is small, quiet, and ends when told."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from client.home import HomeConfig, make_home

LARGEST = 80 << 20  # bytes; 60 MB measured


def command(home: Path) -> list[str]:
    return [sys.executable, "-m", "client.attendance", "--home", str(home), "--slow", "0.5"]


@pytest.mark.slow
def test_it_is_small_and_ends_when_told(attending: Any, hospital: Any, wait: Any) -> None:
    async def scene(desk: Any) -> None:
        await wait(lambda: desk.heard("arrival"))
        child = subprocess.Popen(
            command(hospital.paths.home), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        try:
            await wait(lambda: len(desk.heard("arrival")) == 2)
            await wait(lambda: len(desk.streams[1]) > 3)
            assert psutil.Process(child.pid).memory_info().rss < LARGEST
            began = time.monotonic()
            os.kill(child.pid, signal.SIGTERM)
            said = await asyncio.to_thread(child.communicate, None, 10)
            assert time.monotonic() - began < 2
            assert child.returncode == 0
            assert said[0] == b""
        finally:
            child.kill()
            child.wait()

    attending(scene)


@pytest.mark.slow
def test_it_ends_when_told_while_nobody_answers(hospital: Any) -> None:
    hospital.set(server="127.0.0.1:9")
    child = subprocess.Popen(command(hospital.paths.home))
    try:
        until = time.monotonic() + 15
        while hospital.told["state"] != "waiting" and time.monotonic() < until:
            time.sleep(0.05)
        assert hospital.told["refusal"] == "nothing listens at the server's address"
        began = time.monotonic()
        os.kill(child.pid, signal.SIGTERM)
        assert child.wait(10) == 0
        assert time.monotonic() - began < 2
    finally:
        child.kill()
        child.wait()


@pytest.mark.slow
@pytest.mark.parametrize("joined", [False, True])
def test_a_home_that_joined_nothing_is_refused(joined: bool, tmp_path: Path) -> None:
    if joined:
        make_home(tmp_path, HomeConfig(name="north"))
    done = subprocess.run(command(tmp_path), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert ("has joined no server" if joined else "site.toml is missing") in done.stderr


@pytest.mark.slow
def test_it_brings_nothing_heavy() -> None:
    words = (
        "import client.attendance.daemon, sys\n"
        "print(sorted({'torch', 'flwr', 'scipy', 'typer', 'monai'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
