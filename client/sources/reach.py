"""Bringing a case's files near: an archive's are fetched into a folder that is then removed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from client.paths import HomePaths
from client.sources.decoder import Decoder
from client.sources.logins import Logins
from client.sources.source import Locator, PixelTrouble, SourceError


@dataclass(frozen=True, slots=True)
class Reach:
    """The way to a site's archives.

    Attributes:
        paths: of the home; without one only what is on this machine's disks is reached.
    """

    paths: HomePaths | None = None

    def server(self, url: str) -> dict[str, str]:
        """Address and login of an archive, for the decoding child; see `logins`.

        Raises:
            SourceError: the login is malformed, readable by others, or would travel in the clear.
        """
        if self.paths is None:
            raise SourceError("no archive is reached from here")
        return Logins(self.paths.keys).server(url)

    @contextmanager
    def local(self, locator: Locator, decoder: Decoder) -> Iterator[Locator]:
        """A locator of files on this machine.

        Raises:
            PixelTrouble: the archive is away, or has lost a file.
            SourceError: its login cannot be used.
        """
        if locator["kind"] != "dicomweb" or self.paths is None:
            yield locator
            return
        self.paths.cache.mkdir(mode=0o700, exist_ok=True)
        folder = tempfile.mkdtemp(prefix="incoming-", dir=self.paths.cache)
        try:
            request = {"op": "fetch", "server": self.server(locator["root"]), "folder": folder}
            files = locator["files"]
            _fetched(decoder, {**request, "locator": dict(locator)}, len(files))
            near = [[f"{i}.dcm", uid, count] for i, (_, uid, count) in enumerate(files)]
            yield {**locator, "kind": "dicom", "root": folder, "files": near}
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _fetched(decoder: Decoder, request: dict[str, Any], files: int) -> None:
    try:
        decoder.ask(request, files=10 * files)
    except PixelTrouble as trouble:
        if str(trouble) == "too slow":  # says nothing of the case: it was the way
            raise PixelTrouble("away") from None
        raise
