"""Disks, databases, certificates, keys and ports of a real machine."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from daemons import checks_host
from daemons.certificates import new_authority, pem, revocation_list, server_certificate
from daemons.ports import free_port
from daemons.secrets import new_tls_key

NOW = datetime.now(UTC)


def test_disk_and_memory(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free / 10**9
    assert checks_host.check_disk(tmp_path, 0, 0).verdict == "ok"
    assert checks_host.check_disk(tmp_path, 0, free + 1).verdict == "warn"
    found = checks_host.check_disk(tmp_path, free + 1, free + 2)
    assert (found.verdict, str(tmp_path) in found.mend) == ("fail", True)
    assert checks_host.check_memory(0, 0.01).verdict == "ok"
    assert checks_host.check_memory(10**6, 10**6).verdict == "fail"


def test_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks_host.check_installed("flwr").verdict == "ok"
    found = checks_host.check_installed("no-such-thing")
    assert found.what == "no-such-thing is not installed"
    assert checks_host.check_commands(["flower-supernode"]).verdict == "ok"
    assert "no-such-command missing" in checks_host.check_commands(["no-such-command"]).what


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "a b?.db"
    with closing(sqlite3.connect(path)) as made:
        made.execute("PRAGMA journal_mode = WAL")
        made.execute("CREATE TABLE t (x)")
        made.executemany("INSERT INTO t VALUES (?)", [("y" * 500,)] * 500)
        made.execute("CREATE INDEX i ON t (x)")
        made.execute("PRAGMA user_version = 2")
        made.commit()
    return path


def test_a_whole_database(database: Path) -> None:
    assert checks_host.check_database(database, 2).verdict == "ok"
    assert checks_host.check_database(database.with_name("none.db")).what == "not there yet"
    assert not database.with_name("none.db").exists()


def test_a_database_from_the_future(database: Path) -> None:
    found = checks_host.check_database(database, 1)
    assert "newer wardround (schema 2)" in found.what


@pytest.mark.parametrize("start", [0, 5000])
def test_a_damaged_database(database: Path, start: int) -> None:
    with database.open("r+b") as file:
        file.seek(start)
        file.write(b"\xff" * 9000)
    found = checks_host.check_database(database, 2)
    assert (found.verdict, found.what) == ("fail", f"{database.name} is damaged")
    assert "backup" in found.mend


def test_certificates(tmp_path: Path) -> None:
    key, old = new_tls_key().public_key(), new_authority("x", NOW - timedelta(days=5000))
    files = {"long": NOW, "short": NOW - timedelta(days=3640), "gone": NOW - timedelta(days=3660)}
    for name, at in files.items():
        shown = server_certificate(old, key, ["localhost"], at)
        (tmp_path / f"{name}.crt").write_bytes(pem(shown))

    def look(*names: str) -> tuple[str, str]:
        paths = [tmp_path / f"{name}.crt" for name in names]
        found = checks_host.check_certificates(paths, 30, "renew")
        return found.verdict, found.what

    assert look("long")[0] == "ok"
    assert look("long", "short") == ("warn", "short.crt ends in 9 days")
    assert look("long", "gone", "short") == ("fail", "gone.crt expired 11 days ago")
    assert look("none") == ("fail", "none.crt is missing or broken")


def test_revocations(tmp_path: Path) -> None:
    authority, file = new_authority("sites", NOW), tmp_path / "site.crl"
    assert checks_host.check_revocations(file, "restore").verdict == "fail"
    file.write_bytes(pem(revocation_list(authority, [], NOW)))
    assert checks_host.check_revocations(file, "restore").verdict == "ok"
    late = NOW + timedelta(days=7290)
    assert checks_host.check_revocations(file, "restore", late).verdict == "warn"
    gone = checks_host.check_revocations(file, "restore", NOW + timedelta(days=7310))
    assert "so every site is refused" in gone.what


def test_keys_are_closed_to_others(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.mkdir(mode=0o700)
    for name, mode in (("node", 0o600), ("node.pub", 0o644)):
        (keys / name).touch()
        (keys / name).chmod(mode)
    assert checks_host.check_private(keys).verdict == "ok"
    (keys / "node").chmod(0o640)
    assert checks_host.check_private(keys).what == "node can be read by others"
    (keys / "node").chmod(0o600)
    keys.chmod(0o755)
    assert checks_host.check_private(keys).what == "keys can be read by others"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_keys_of_another_user(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.mkdir(mode=0o700)
    (keys / "node").touch(mode=0o600)
    os.chown(keys / "node", 65534, 65534)
    assert checks_host.check_private(keys).what == "node belongs to another user"


def test_a_port_of_our_own(tmp_path: Path) -> None:
    def look(port: int) -> tuple[str, str]:
        found = checks_host.check_own_port(tmp_path / "run", "127.0.0.1", port, "runtime_port")
        return found.verdict, found.what

    port = free_port()
    assert look(port) == ("ok", f"127.0.0.1:{port} is free")
    with socket.create_server(("127.0.0.1", port)):
        assert look(port)[0] == "fail"


def test_whether_the_clock_is_kept_is_said_or_not_known() -> None:
    assert checks_host.check_synchronised().verdict in ("ok", "warn")
