"""Bringing a case's files near: those of an archive are fetched into a folder that is then removed.

How the archive is entered stands in `keys/dicomweb.json` (0600), by the archive's address:

    {ADDRESS: {"user": "...", "password": "...",
               "authority": "ca.pem", "certificate": "site.pem"}}

All four are optional; files are named relative to the `keys` folder. A certificate's file holds its
key, too. Without an entry there is no login, and the system's authorities are trusted.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from client.paths import HomePaths
from client.sources.decoder import Decoder
from client.sources.source import Locator, SourceError

_FIELDS = {"user", "password", "authority", "certificate"}
_FILES = {"authority", "certificate"}
_NEAR = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True)
class Reach:
    """The way to a site's archives.

    Attributes:
        paths: of the home; without one only what is on this machine's disks is reached.
    """

    paths: HomePaths | None = None

    def server(self, url: str) -> dict[str, Any]:
        """Address and login of an archive, for the decoding child.

        Raises:
            SourceError: the login is malformed, readable by others, or would travel in the clear.
        """
        if self.paths is None:
            raise SourceError("no archive is reached from here")
        login = self._logins().get(url.rstrip("/"), {})
        if not isinstance(login, dict) or set(login) - _FIELDS:
            raise SourceError(f"keys/dicomweb.json: accepted are {', '.join(sorted(_FIELDS))}")
        place = urlsplit(url)
        if place.scheme == "http" and login.get("password") and place.hostname not in _NEAR:
            raise SourceError("a password over plain http is refused; accepted is an https address")
        files = {k: str(self.paths.keys / login[k]) for k in _FILES & set(login)}
        return {"url": url, **login, **files}

    @contextmanager
    def local(self, locator: Locator, decoder: Decoder) -> Iterator[Locator]:
        """A locator of files on this machine.

        Raises:
            PixelTrouble: the archive is away, or has lost a file.
        """
        if locator["kind"] != "dicomweb" or self.paths is None:
            yield locator
            return
        self.paths.cache.mkdir(mode=0o700, exist_ok=True)
        folder = tempfile.mkdtemp(prefix="incoming-", dir=self.paths.cache)
        try:
            request = {"op": "fetch", "server": self.server(locator["root"]), "folder": folder}
            files = locator["files"]
            decoder.ask({**request, "locator": dict(locator)}, files=10 * len(files))
            near = [[f"{i}.dcm", uid, count] for i, (_, uid, count) in enumerate(files)]
            yield {**locator, "kind": "dicom", "root": folder, "files": near}
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _logins(self) -> dict[str, Any]:
        file = self.paths.keys / "dicomweb.json" if self.paths else Path()
        if not file.exists():
            return {}
        if file.stat().st_mode & 0o077:
            raise SourceError("keys/dicomweb.json can be read by others; accepted is mode 0600")
        try:
            logins: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        except ValueError:
            raise SourceError("keys/dicomweb.json is no JSON") from None
        return {url.rstrip("/"): login for url, login in logins.items()}
