"""The whole server: started by its command, every child killed, the daemon itself killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from daemons.ports import is_listening

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed"),
]
COMMAND = str(Path(sys.executable).with_name("wardround-server"))


@pytest.fixture
def daemon(house: Any) -> Iterator[subprocess.Popen[bytes]]:
    with (house.home / "daemon.log").open("ab") as log:
        child = subprocess.Popen(
            [COMMAND, "start", "--home", str(house.home)], stdout=log, stderr=log
        )
    yield child
    if child.poll() is None:
        child.terminate()
        child.wait(60)


def status(house: Any) -> Any:
    said = subprocess.run(
        [COMMAND, "status", "--home", str(house.home), "--format", "json"],
        capture_output=True,
        check=True,
    )
    return json.loads(said.stdout)


def pids(house: Any) -> dict[str, int]:
    """Children that are up."""
    services = status(house)["daemon"]["services"]
    return {name: row["pid"] for name, row in services.items() if row["state"] == "up"}


def left(house: Any) -> list[str]:
    """Commands of processes whose folder is the home."""
    found = []
    for process in psutil.process_iter(["cwd", "cmdline"]):
        if process.info["cwd"] == str(house.home):
            found.append(" ".join(process.info["cmdline"])[:80])
    return found


def test_every_child_comes_back_and_none_outlives_the_daemon(
    house: Any, daemon: subprocess.Popen[bytes]
) -> None:
    began = time.monotonic()
    names = {"superlink", "superexec", "coordination", "nginx", "keeper", "dashboard"}
    house.until(lambda: set(pids(house)) >= names and is_listening("127.0.0.1", house.port), 60.0)
    print(f"all up after {time.monotonic() - began:.1f} s")
    beat = house.paths.run / "keeper.beat"
    house.until(beat.exists, 20.0)
    for name in sorted(names):
        before = pids(house)[name]
        os.kill(before, signal.SIGKILL)
        house.until(lambda n=name, b=before: pids(house).get(n, b) != b, 20.0)
    house.until(lambda: is_listening("127.0.0.1", house.config.superlink_port), 30.0)
    house.until(lambda: is_listening("127.0.0.1", house.port), 10.0)
    again = subprocess.run(
        [COMMAND, "start", "--home", str(house.home)], capture_output=True, check=False
    )
    assert again.returncode == 3
    assert left(house)
    daemon.kill()
    daemon.wait()
    house.until(lambda: not left(house), 30.0)
    assert status(house)["daemon"]["state"] == "stopped"


def test_it_stops_cleanly_and_at_once_reloads_nginx_for_a_new_list(
    house: Any, daemon: subprocess.Popen[bytes]
) -> None:
    house.until(lambda: "keeper" in pids(house), 60.0)
    mark = house.paths.run / "nginx.reloaded"
    time.sleep(1.1)  # files of the very second of the start are read again
    mark.unlink(missing_ok=True)
    house.revoke(4711)
    house.until(mark.exists, 20.0)
    log = house.paths.logs / "keeper.log"
    house.until(lambda: "nginx reloaded" in log.read_text(encoding="utf-8"), 10.0)
    good = (house.paths.pki / "site.crl").read_bytes()
    (house.paths.pki / "site.crl").write_bytes(b"no list")
    house.until(lambda: "nginx-refused" in {a["kind"] for a in status(house)["alarms"]}, 20.0)
    assert is_listening("127.0.0.1", house.port)
    (house.paths.pki / "site.crl").write_bytes(good)
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(60) == 0
    assert not left(house)
