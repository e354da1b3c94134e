"""A server's preflight on a real home, with real nginx where it is installed."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from daemons.certificates import new_authority, pem, revocation_list
from daemons.ports import free_port
from daemons.preflight import Check
from server.home import HomeConfig
from server.keys import make_server
from server.preflight import preflight

NGINX = pytest.mark.skipif(
    not shutil.which("nginx", path="/usr/sbin:/usr/bin"), reason="nginx is not installed"
)
NOW = datetime.now(UTC)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    config = HomeConfig(
        address=f"localhost:{free_port()}",
        listen=f"127.0.0.1:{free_port()}",
        superlink_port=free_port(),
        dashboard=f"127.0.0.1:{free_port()}",
    )
    make_server(tmp_path / "home", config, NOW)
    return tmp_path / "home"


def by_name(checks: tuple[Check, ...]) -> dict[str, Check]:
    return {check.name: check for check in checks}


def failed(home: Path) -> dict[str, str]:
    return {c.name: c.found for c in preflight(home) if c.verdict == "fail"}


@NGINX
def test_a_server_that_may_start(home: Path) -> None:
    checks = by_name(preflight(home))
    assert not [check for check in checks.values() if check.verdict == "fail"]
    assert checks["nginx-configuration"].verdict == "ok"
    assert all(check.mend for check in checks.values() if check.verdict != "ok")


@NGINX
def test_a_certificate_that_nginx_does_not_take(home: Path) -> None:
    (home / "pki" / "server.crt").write_text("nothing")
    found = failed(home)
    assert {*found} == {"certificates", "certificate-name", "nginx-configuration"}


def test_a_server_without_nginx(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.flower.nginx.shutil.which", lambda *a, **k: None)
    checks = by_name(preflight(home))
    assert checks["nginx"].verdict == "fail"
    assert "apt install" in checks["nginx"].mend
    assert checks["nginx-configuration"].found == "not checked, because nginx failed"


def test_a_revocation_list_that_ended(home: Path) -> None:
    old = new_authority("sites", NOW - timedelta(days=7310))
    (home / "pki" / "site.crl").write_bytes(
        pem(revocation_list(old, [], NOW - timedelta(days=100)))
    )
    assert "every site is refused" in failed(home)["revocations"]


def test_a_certificate_for_another_name(home: Path) -> None:
    text = (home / "server.toml").read_text()
    (home / "server.toml").write_text(text.replace('"localhost:', '"127.0.0.1:'))
    assert failed(home)["certificate-name"] == "server.crt is not for 127.0.0.1, which sites dial"


def test_a_port_that_another_has(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        text = (home / "server.toml").read_text().splitlines()
        text = [f"superlink_port = {port}" if "superlink" in line else line for line in text]
        (home / "server.toml").write_text("\n".join(text))
        assert failed(home)["superlink-port"].startswith(f"127.0.0.1:{port} cannot be had")


def test_a_damaged_registry(home: Path) -> None:
    with (home / "registry.db").open("r+b") as file:
        file.write(b"\xff" * 4096)
    assert failed(home)["registry"] == "registry.db is damaged"


def test_a_key_that_others_can_read(home: Path) -> None:
    (home / "pki" / "site-ca.key").chmod(0o644)
    assert failed(home)["keys"] == "site-ca.key can be read by others"


@pytest.mark.slow
def test_the_command(home: Path) -> None:
    (home / "pki" / "site.crl").unlink()
    words = [sys.executable, "-P", "-c", "from server.cli import main; main()", "preflight"]
    words += ["--home", str(home), "--format", "json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1, done.stderr
    said = json.loads(done.stdout)
    wrong = {row["name"] for row in said["checks"] if row["verdict"] == "fail"}
    assert (said["format"], said["ok"]) == (1, False)
    assert "revocations" in wrong


def test_a_folder_that_is_no_home(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"server\.toml is missing"):
        preflight(tmp_path)
