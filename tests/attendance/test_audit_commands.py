"""`wardround-site audit`, with a server that is asked over mutual TLS."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from client.audit.chain import head, note
from client.audit.heads import Signed, hash_at, keep
from client.cli import app
from client.home import open_store
from daemons.secrets import sign
from protocol.coordination import head_words
from protocol.coordination_pb2 import SignedHead
from protocol.coordination_pb2_grpc import (
    CoordinationServicer,
    add_CoordinationServicer_to_server,
)

AT = "2026-01-05T08:00:00+00:00"


class Desk(CoordinationServicer):
    """Says one head, and hears who asks."""

    newest = SignedHead()
    refuse = False

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    def NewestHead(self, request: Any, context: Any) -> SignedHead:  # noqa: N802  # the stub's name
        self.heard.append(request.SerializeToString())
        if self.refuse:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "a word of the server's")
        return self.newest


@pytest.fixture
def desk(hospital: Any, pki: Path) -> Iterator[Desk]:
    server, desk = grpc.server(ThreadPoolExecutor(2)), Desk()
    add_CoordinationServicer_to_server(desk, server)
    pair = ((pki / "server.key").read_bytes(), (pki / "server.crt").read_bytes())
    authority = (pki / "site-ca.crt").read_bytes()
    port = server.add_secure_port(
        "127.0.0.1:0", grpc.ssl_server_credentials([pair], authority, require_client_auth=True)
    )
    server.start()
    hospital.set(server=f"localhost:{port}")
    yield desk
    server.stop(None).wait()


@pytest.fixture
def log(hospital: Any) -> Any:
    """The site's store with five lines."""
    while head(hospital.store)[0] < 5:
        with hospital.store.transaction():
            note(hospital.store, "paused")
    return hospital.store


@pytest.fixture
def signed(log: Any, pki: Path) -> Callable[..., SignedHead]:
    def of(lines: int, told: str = "", branch: int = 1) -> SignedHead:
        told = told or hash_at(log, lines)
        words = head_words("north", branch, lines, told, AT)
        signature = sign((pki / "heads.key").read_bytes(), words)
        return SignedHead(lines=lines, hash=told, branch=branch, at=AT, signature=signature)

    return of


@pytest.fixture
def audit(hospital: Any, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Runs the command; its exit code and what it printed."""

    def run(*words: str) -> tuple[int, str]:
        capsys.readouterr()
        code = 0
        try:
            app(["audit", *words, "--home", str(hospital.paths.home)], standalone_mode=False)
        except SystemExit as ended:
            code = int(str(ended.code))
        return code, capsys.readouterr().out

    return run


@pytest.mark.slow
def test_the_server_s_newest_head_is_asked_for_and_believed(
    log: Any, desk: Desk, signed: Callable[..., SignedHead], audit: Callable[..., Any]
) -> None:
    desk.newest = signed(5)
    code, said = audit("verify")
    assert (code, desk.heard) == (0, [b""])
    # asking has a line of its own
    newer = "; 1 newer lines wait for the next countersignature"
    assert said == f"verified up to line 5, countersigned{newer}\n"
    code, said = audit("verify", "--format", "json")
    told = json.loads(said)
    assert (told["format"], told["whole"], told["verified"], told["server_asked"]) == (1, 1, 5, 1)
    assert audit("verify", "--offline") == (
        0,
        "verified up to 0 of 7; the server was not asked\n",
    )
    assert len(desk.heard) == 2


@pytest.mark.slow
def test_a_log_that_was_cut_is_found_by_asking(
    log: Any, desk: Desk, signed: Callable[..., SignedHead], audit: Callable[..., Any]
) -> None:
    desk.newest = signed(5)
    log.connection.execute("DROP TRIGGER audit_is_never_deleted")
    log.connection.execute("DELETE FROM audit WHERE line > 2")
    code, said = audit("verify")
    assert code == 1
    assert said.startswith("NOT WHOLE: the server has countersigned 5 lines, and there are 3\n")
    assert audit("verify", "--offline")[0] == 0  # offline, nothing shows it


@pytest.mark.parametrize(
    "newest",
    [
        SignedHead(lines=2, hash="ab" * 32, branch=1, at=AT, signature=bytes(64)),
        SignedHead(lines=2, hash="ab" * 32, branch=2**31, at="x" * 999),
    ],
)
def test_an_answer_that_is_not_the_server_s_is_no_verdict_of_whole(
    log: Any, desk: Desk, audit: Callable[..., Any], newest: SignedHead
) -> None:
    desk.newest = newest
    code, said = audit("verify")
    assert code == 1
    assert "the countersignature of 2 lines is not the server's" in said


def test_a_server_that_does_not_answer_is_said_and_the_rest_verified(
    log: Any, desk: Desk, signed: Callable[..., SignedHead], audit: Callable[..., Any]
) -> None:
    s = signed(4)
    with log.transaction():
        keep(log, Signed(s.branch, s.lines, s.hash, s.at, s.signature))
    desk.refuse = True
    code, said = audit("verify")
    assert code == 0
    assert said == (
        "verified up to 4 of 6; the server was asked and did not answer: "
        "the server does not know this site, or has revoked it\n"
    )


@pytest.mark.slow
def test_an_old_copy_of_the_database_is_found_by_asking(
    hospital: Any,
    log: Any,
    desk: Desk,
    signed: Callable[..., SignedHead],
    audit: Callable[..., Any],
    tmp_path: Path,
) -> None:
    log.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(hospital.paths.database, tmp_path / "old.db")
    for _ in range(4):
        with log.transaction():
            note(log, "resumed")
    desk.newest = signed(9)
    assert audit("verify")[0] == 0
    log.close()
    for name in ("site.db-wal", "site.db-shm"):
        (hospital.paths.home / name).unlink(missing_ok=True)
    shutil.copy(tmp_path / "old.db", hospital.paths.database)
    code, said = audit("verify")
    assert code == 1
    assert "the server has countersigned 9 lines, and there are 6" in said
    # attendance has told the server, which signs a new branch and sounds an alarm
    hospital.store = open_store(hospital.paths.home)
    told = hash_at(hospital.store, 6)
    desk.newest = signed(6, told, branch=2)
    code, said = audit("verify")
    assert code == 0
    assert "verified up to line 6, countersigned" in said
    assert "once this log came back from an older copy" in said


def test_export_and_report_are_whole_files(
    hospital: Any, log: Any, audit: Callable[..., Any], tmp_path: Path
) -> None:
    file, page = tmp_path / "log.jsonl", tmp_path / "left.md"
    assert audit("export", str(file))[0] == 0
    rows = [json.loads(row) for row in file.read_text().splitlines()]
    assert [row["kind"] for row in rows] == ["wardround audit log", *["line"] * 5]
    assert rows[0]["heads_key"] == (hospital.paths.kit / "heads.pub").read_text()
    assert audit("report", "--out", str(page))[0] == 0
    assert page.read_text() == audit("report")[1]
    assert "## Decided or seen at this site" in page.read_text()
