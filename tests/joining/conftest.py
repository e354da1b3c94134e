"""A server's home, and the real commands of both sides, called as a person types them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from client.cli import main as site_main
from client.joining import make_site
from client.paths import HomePaths
from daemons.joining import as_file, read_request
from server.cli import main as server_main
from server.home import HomeConfig, ServerPaths
from server.joining import admit
from server.keys import make_server
from server.registry.registry import Registry

MAINS = {"wardround-site": site_main, "wardround-server": server_main}


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Types a command; its exit code and what it printed."""

    def one(command: str, *words: object, home: Path) -> Said:
        typed = [command, *(str(word) for word in words), "--home", str(home)]
        monkeypatch.setattr(sys, "argv", typed)
        capsys.readouterr()
        code = 0
        try:
            MAINS[command]()
        except SystemExit as end:
            code = int(end.code or 0)
        heard = capsys.readouterr()
        return Said(code, heard.out, heard.err)

    return one


@pytest.fixture
def server(tmp_path: Path) -> ServerPaths:
    """A server's home for localhost."""
    make_server(tmp_path / "server", HomeConfig(address="localhost:8443"), datetime.now(UTC))
    return ServerPaths(tmp_path / "server")


@pytest.fixture
def site(tmp_path: Path) -> Callable[..., HomePaths]:
    """Makes a site's home with its request."""

    def make(name: str = "north", folder: str = "") -> HomePaths:
        make_site(tmp_path / (folder or name), name)
        return HomePaths(tmp_path / (folder or name))

    return make


@pytest.fixture
def add(server: ServerPaths, tmp_path: Path) -> Callable[..., Path]:
    """Lets a site in, or renews it; where its kit lies."""
    count = iter(range(100))

    def one(site: HomePaths, *, renewal: bool = False) -> Path:
        registry = Registry.open(server.registry)
        at = datetime.now(UTC)
        kit = admit(server, registry, read_request(site.request), at, renewal=renewal)
        registry.close()
        file = tmp_path / f"kit-{next(count)}.json"
        file.write_bytes(as_file(kit))
        return file

    return one
