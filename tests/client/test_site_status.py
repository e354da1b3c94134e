"""`wardround-site status`, `start`, and the watchdog, without a federation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from client.audit.chain import Entry, append
from client.cli import app
from client.flower.services import deaf, prepare, services
from client.flower.trouble import Trouble
from client.joining import make_site
from client.paths import HomePaths
from client.status import days_left
from daemons.certificates import new_authority, pem, read_signing_request, site_certificate
from daemons.service import Alive
from protocol.study import Study

NOW = datetime.now(UTC)


def run(*words: str) -> str:
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def home(tmp_path: Path) -> Path:
    make_site(tmp_path / "site", "north")
    return tmp_path / "site"


def test_a_fresh_home_is_told_whole(home: Path) -> None:
    text = run("status", "--home", str(home))
    assert "site north, server not joined" in text
    assert "daemon stopped" in text
    assert "certificate: none yet" in text
    seen = json.loads(run("status", "--home", str(home), "--format", "json"))
    assert seen["format"] == 1
    assert seen["daemon"]["state"] == "stopped"
    assert seen["audit"] == {
        "lines": 0, "head": "", "countersigned": 0, "countersigned_at": "",
    }  # fmt: skip
    assert seen["studies"] == []


def test_studies_cycles_and_the_audit_log_are_counted(
    tiny_site: Callable[..., Any], tiny_study: Callable[..., Study]
) -> None:
    study = tiny_study()
    site = tiny_site(study)
    with site.store.transaction():
        site.store.readings.grant(study.identity, 0, 0, 8)
        site.store.readings.grant(study.identity, 0, 1, 4)
        site.store.readings.grant(study.identity, 1, 0, 3)
        site.store.connection.execute(
            "INSERT INTO closings VALUES (?, 0, ?)", (study.identity, NOW.isoformat())
        )
        append(site.store, Entry("site", "approved", study=study.identity))
    paths = HomePaths(site.home)
    paths.run.mkdir()
    Trouble(paths.trouble).note("it is far away")
    seen = json.loads(run("status", "--home", str(site.home), "--format", "json"))
    assert [(c["cycle"], c["granted"], c["closed"]) for c in seen["studies"][0]["cycles"]] == [
        (0, 12, True),
        (1, 3, False),
    ]
    assert seen["studies"][0]["standing"] == "approved"
    assert seen["audit"]["lines"] == 1
    text = run("status", "--home", str(site.home))
    assert "cycle 1: 0 readings, 12 granted, closed" in text
    assert "it is far away" in text


@pytest.mark.parametrize("command", ["status", "studies", "preflight"])
def test_a_home_that_is_a_file_is_no_site(command: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(ValueError, match="accepted is a site's home"):
        CliRunner().invoke(app, [command, "--home", str(file)], catch_exceptions=False)


@pytest.mark.slow
def test_status_imports_nothing_heavy(home: Path) -> None:
    code = (
        "import sys; from client.cli import app;"
        f"app(['status', '--home', {str(home)!r}], standalone_mode=False);"
        "print(sorted({'numpy', 'pydantic', 'torch', 'flwr', 'grpc', 'httpx', 'cryptography'}"
        " & {*sys.modules}))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.splitlines()[-1] == "[]"


def test_the_daemon_imports_nothing_heavy() -> None:
    code = (
        "import sys, client.daemon;"
        "print(sorted({'numpy', 'pydantic', 'torch', 'flwr', 'grpc', 'typer', 'cryptography'}"
        " & {*sys.modules}))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


@pytest.mark.parametrize("age", [0, 300, 500])
def test_days_of_a_certificate(home: Path, tmp_path: Path, age: int) -> None:
    from client.joining import request_of
    from daemons import certificates

    csr = read_signing_request(request_of(home).csr.encode(), "north")
    at = NOW - timedelta(days=age)
    (tmp_path / "crt").write_bytes(pem(site_certificate(new_authority("x", at), csr, at)))
    assert days_left(tmp_path / "crt") == certificates.days_left(tmp_path / "crt")
    assert (days_left(tmp_path / "crt") or 0) < 400 - age
    assert days_left(tmp_path / "none") is None


@pytest.mark.slow
def test_start_wants_a_site_that_has_joined(home: Path, tmp_path: Path) -> None:
    site = Path(sys.executable).with_name("wardround-site")
    for place, code, words in ((home, 3, "has not joined yet"), (tmp_path, 2, "is missing")):
        said = subprocess.run(
            [site, "start", "--home", place], capture_output=True, text=True, check=False
        )
        assert said.returncode == code
        assert words in said.stderr
        assert "Traceback" not in said.stderr
        assert not (place / "run").exists()


def test_our_launcher_is_found_first(home: Path) -> None:
    prepare(home)
    paths = HomePaths(home)
    env = services(home, 9091, 180.0)[1].env
    assert env["PATH"].split(os.pathsep)[0] == str(paths.launchers)
    said = subprocess.run(
        ["flwr-clientapp", "--help"], env={**env}, capture_output=True, text=True, check=True
    )
    assert "--home" in said.stdout  # ours
    assert paths.launchers.stat().st_mode & 0o777 == 0o700


def lived(seconds: float) -> Alive:
    return Alive(1, time.monotonic() - seconds)


def test_the_watchdog_restarts_a_deaf_supernode_only(home: Path) -> None:
    paths = HomePaths(home)
    prepare(home)
    sick = deaf(paths, 180.0)
    assert sick(lived(89)) == ""  # after a crash the server lets none in for a minute
    assert sick(lived(179)) == ""
    assert "has not reached the server for 200 s" in sick(lived(200))
    paths.beat.touch()
    assert sick(lived(9999)) == ""
    os.utime(paths.beat, (time.time() - 181, time.time() - 181))
    assert sick(lived(100)) == ""
    assert sick(lived(300))


def test_a_server_that_is_away_is_waited_for(home: Path) -> None:
    paths = HomePaths(home)
    prepare(home)
    paths.attendance.write_text('{"state": "waiting"}')
    sick = deaf(paths, 180.0)
    assert sick(lived(500)) == ""
    assert sick(lived(901))
    paths.attendance.write_text('{"state": "connected"}')
    assert sick(lived(200))


def test_a_renewed_certificate_is_taken_up(home: Path) -> None:
    paths = HomePaths(home)
    prepare(home)
    paths.kit.mkdir()
    paths.beat.touch()
    (paths.kit / "site.crt").write_text("x")
    sick = deaf(paths, 180.0)
    assert sick(lived(120)) == "the certificate was renewed"
    os.utime(paths.kit / "site.crt", (time.time() - 500, time.time() - 500))
    assert sick(lived(120)) == ""
