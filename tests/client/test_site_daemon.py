"""`wardround-site start` on real processes: what is killed comes back, and the study goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from client.paths import HomePaths
from daemons.certificates import new_authority, pem, read_signing_request, site_certificate
from daemons.joining import read_request
from daemons.status import read_status
from protocol.bundle import fab
from protocol.records import StepKey
from protocol.steps import Code, Refusal, StepRequest
from protocol.wire import from_wire

pytestmark = pytest.mark.slow
SITE = str(Path(sys.executable).with_name("wardround-site"))
NOBODY = StepRequest(StepKey("0" * 64, 0, "hello", 0, 0), 1)


def status(home: Path) -> dict[str, Any]:
    call = [SITE, "status", "--home", str(home), "--format", "json"]
    found: dict[str, Any] = json.loads(subprocess.run(call, capture_output=True, check=True).stdout)
    return found


def pid_of(home: Path, name: str) -> int:
    """Of a service that is up; 0 if it is not."""
    return next((s.pid or 0 for s in read_status(home / "run").services if s.name == name), 0)


def asked_until_answered(rig: Any, seconds: float = 150.0) -> None:
    """Send the step again, as the server does, until the installed app has answered it."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        reply = rig.ask(rig.run_of(fab()), NOBODY, seconds=40)
        if reply is not None and not reply.has_error():
            assert from_wire(reply.content, Refusal) == Refusal(Code.NOT_APPROVED)
            return
        time.sleep(1)
    raise AssertionError("no answer")


def test_what_is_killed_comes_back_and_the_step_is_answered(loopback: Any, wait_until: Any) -> None:
    home = loopback.site
    daemon = loopback.start((SITE, "start", "--home", str(home)), home)
    wait_until(loopback.online)
    asked_until_answered(loopback)
    for name in ("supernode", "superexec"):
        before = wait_until(lambda name=name: pid_of(home, name))
        os.kill(before, signal.SIGKILL)
        wait_until(lambda name=name, before=before: pid_of(home, name) not in (0, before))
        asked_until_answered(loopback)
    again = subprocess.run([SITE, "start", "--home", str(home)], capture_output=True, text=True)
    assert again.returncode == 3
    assert "a daemon already runs on this home" in again.stderr
    seen = status(home)
    assert seen["daemon"]["services"]["superexec"]["restarts"] >= 1
    assert seen["certificate_days"] > 300
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(40) == 0
    assert read_status(home / "run").state == "stopped"


def test_a_certificate_that_is_not_accepted_is_said_in_words(
    loopback: Any, wait_until: Any
) -> None:
    home, now = loopback.site, datetime.now(UTC)
    paths = HomePaths(home)
    good = (paths.kit / "site.crt").read_bytes()
    csr = read_signing_request(read_request(paths.request).csr.encode(), "north")
    daemon = None
    try:
        daemon = loopback.start((SITE, "start", "--home", str(home)), home)
        wait_until(lambda: read_status(paths.run).state == "running")
        (paths.kit / "site.crt").write_bytes(
            pem(site_certificate(new_authority("x", now), csr, now))
        )
        os.kill(wait_until(lambda: pid_of(home, "supernode")), signal.SIGKILL)
        said = wait_until(lambda: status(home)["supernode"]["trouble"])
        assert "does not accept this site's certificate" in said
        text = subprocess.run([SITE, "status", "--home", str(home)], capture_output=True, text=True)
        assert "does not accept this site's certificate" in text.stdout
        wait_until(lambda: status(home)["daemon"]["services"]["supernode"]["restarts"] >= 2)
        (paths.kit / "site.crt").write_bytes(good)
        wait_until(lambda: not status(home)["supernode"]["trouble"], 120)
    finally:
        (paths.kit / "site.crt").write_bytes(good)
        if daemon is not None:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(40)
