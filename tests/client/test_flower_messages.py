"""Real messages through SuperLink, nginx, our SuperNode, SuperExec and ClientApp."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import signal
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from client.flower.trouble import Trouble
from client.home import open_store
from client.paths import HomePaths
from daemons.ports import free_port, is_listening
from protocol import bundle
from protocol.bundle import fab
from protocol.records import StepKey
from protocol.steps import Code, Refusal, StepRequest
from protocol.wire import from_wire

pytestmark = pytest.mark.slow
NOBODY = StepRequest(StepKey("0" * 64, 0, "hello", 0, 0), 1)
CLOSED = dict.fromkeys(("HTTP_PROXY", "https_proxy", "ALL_PROXY"), "http://127.0.0.1:9")


@pytest.fixture(scope="module")
def site(loopback: Any, wait_until: Any) -> Any:
    """The federation, its site online behind the hospital's proxy, where tinyproxy is installed;
    the proxies that the environment names lead nowhere.
    """
    if command := shutil.which("tinyproxy"):
        port, log = free_port(), loopback.site / "proxy.log"
        lines = [f"Port {port}", "Listen 127.0.0.1", "Allow 127.0.0.1", f'LogFile "{log}"']
        (loopback.site / "proxy.conf").write_text("\n".join(lines) + "\n")
        loopback.start((command, "-d", "-c", "proxy.conf"), loopback.site)
        wait_until(lambda: is_listening("127.0.0.1", port))
        loopback.set(proxy=f"127.0.0.1:{port}")
    loopback.start_site(CLOSED)
    wait_until(loopback.online)
    return loopback


@pytest.fixture(scope="module")
def ours(site: Any) -> Any:
    """A run of our FAB."""
    return site.run_of(fab())


def answered(reply: Any) -> bool:
    assert not reply.has_error(), reply.error
    return from_wire(reply.content, Refusal) == Refusal(Code.NOT_APPROVED)


def test_our_fab_lets_the_installed_app_answer(site: Any, ours: Any) -> None:
    assert answered(site.ask(ours, NOBODY))
    paths = HomePaths(site.site)
    assert not (paths.flower / "apps").exists()  # not even unpacked
    assert time.time() - paths.beat.stat().st_mtime < 10
    assert Trouble(paths.trouble).read() == ("", "")
    if shutil.which("tinyproxy"):
        assert "CONNECT localhost:" in (site.site / "proxy.log").read_text()


def test_a_message_of_no_kind_that_we_know_is_refused_by_code(site: Any, ours: Any) -> None:
    reply = site.ask(ours, NOBODY, kind="query.jane_doe_1961")
    assert from_wire(reply.content, Refusal) == Refusal(Code.BAD_REQUEST)


def fab_with(**more: str) -> bytes:
    """Our FAB with files changed or added, as a server might make it."""
    folder = Path(bundle.__file__).parent / "fab"
    files = {name: (folder / name).read_text() for name in ("pyproject.toml", "README.md")}
    files |= {name.replace("__", "/"): text for name, text in more.items()}
    listing = [
        f"{name},{hashlib.sha256(text.encode()).hexdigest()},{len(text) * 8}"
        for name, text in files.items()
    ]
    block = io.BytesIO()
    with zipfile.ZipFile(block, "w") as file:
        for name, text in files.items():
            file.writestr(name, text)
        file.writestr(".info/CONTENT", "\n".join(listing))
    return block.getvalue()


@pytest.mark.parametrize("how", ["smuggles", "names"])
def test_a_fab_that_is_not_ours_is_refused(site: Any, tmp_path: Path, how: str) -> None:
    canary = tmp_path / "canary"
    planted = f"open({str(canary)!r}, 'w').close()\n"
    if how == "smuggles":
        foreign = fab_with(**{"client__app.py": planted})
    else:
        text = (Path(bundle.__file__).parent / "fab" / "pyproject.toml").read_text()
        assert "client.app:app" in text
        evil = text.replace("client.app:app", "evil.app:app")
        foreign = fab_with(**{"pyproject.toml": evil, "evil__app.py": planted})
    reply = site.ask(site.run_of(foreign), NOBODY)
    assert reply.error.code == 7
    assert not reply.error.reason
    assert refusals(site.site) == 1  # a second one within the minute waits for a line of its own
    assert not canary.exists()
    assert not (HomePaths(site.site).flower / "apps").exists()


def refusals(home: Path) -> int:
    with closing(open_store(home)) as store:
        rows = store.connection.execute(
            "SELECT COUNT(*) FROM audit WHERE event = 'refused' AND words = ?",
            ("a FAB that is not ours",),
        )
        return int(rows.fetchone()[0])


def test_a_clientapp_that_is_killed_is_told_of_at_once_and_asked_again(
    site: Any, wait_until: Any
) -> None:
    ours = site.run_of(fab())  # runs ago SuperLink may have called the other one dead
    replies: list[Any] = []
    began = time.monotonic()
    asking = threading.Thread(target=lambda: replies.append(site.ask(ours, NOBODY)))
    asking.start()
    pid = wait_until(lambda: next(clientapps(site), None))
    os.kill(pid, signal.SIGKILL)
    asking.join(60)
    assert replies[0].error.code == 8
    assert not replies[0].error.reason
    assert time.monotonic() - began < 30  # flwr itself takes a minute, or for ever
    assert answered(site.ask(ours, NOBODY))


def clientapps(site: Any) -> Iterator[int]:
    for child in site.children:
        try:
            for one in psutil.Process(child.pid).children(recursive=True):
                if "client.flower.clientapp" in " ".join(one.cmdline()):
                    yield one.pid
        except psutil.NoSuchProcess:
            continue
