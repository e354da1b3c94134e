"""A small archive that speaks DICOMweb over TLS, for real, on loopback; it notes what it is asked.

The spoken part is what imports use: studies by page, a study's metadata, one instance.
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pydicom.dataset import Dataset

from client.home import open_store
from client.paths import HomePaths
from client.patients import site_key
from client.sources.choosing import Wanted, source_of
from client.sources.decoder import Decoder
from client.sources.importing import Import, Tally
from client.sources.labels import Labels
from client.sources.reach import Reach
from daemons.certificates import (
    Authority,
    new_authority,
    pem,
    read_signing_request,
    server_certificate,
    signing_request,
    site_certificate,
)
from daemons.secrets import new_tls_key, private_pem

NOW = datetime.now(UTC)
AUTHORITY, STRANGERS = new_authority("hospital", NOW), new_authority("strangers", NOW)
_NEAR = "127.0.0.1"
_EDGE = "edge-of-a-part"


@dataclass
class Archive:
    """What the archive holds, whom it lets in, and what it was asked.

    Attributes:
        held: instances.
        user: "user:password" that it asks for; "" for none.
        token: bearer token that it asks for; "" for none.
        left: requests that it answers before it breaks off in the middle of one; -1 for all.
        denied: uids of studies or instances that it keeps from this login (403).
        torn: uids of those over which it fails (500).
        asked: paths below its root, in order.
    """

    held: list[Dataset] = field(default_factory=list)
    user: str = ""
    token: str = ""
    left: int = -1
    denied: set[str] = field(default_factory=set)
    torn: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def lets_in(self, header: str) -> bool:
        """Whether the Authorization header is the one it wants."""
        wanted = f"Bearer {self.token}" if self.token else ""
        if self.user:
            wanted = f"Basic {base64.b64encode(self.user.encode()).decode()}"
        return header == wanted

    def answer(self, path: str, query: dict[str, list[str]]) -> tuple[str, bytes] | None:
        """Type and body; None where it has none."""
        words = path.strip("/").split("/")
        study = [one for one in self.held if one.StudyInstanceUID in words]
        if words == ["studies"]:
            return "application/dicom+json", json.dumps(self._studies(query)).encode()
        if words[2:] == ["metadata"] and study:
            found = [one.to_json_dict(64, lambda _: "") for one in study]
            return "application/dicom+json", json.dumps(found).encode()
        for one in study:
            if words[-1] == one.SOPInstanceUID:
                kind = f'multipart/related; type="application/dicom"; boundary="{_EDGE}"'
                head = f"--{_EDGE}\r\nContent-Type: application/dicom\r\n\r\n".encode()
                return kind, head + _bytes(one) + f"\r\n--{_EDGE}--\r\n".encode()
        return None

    def _studies(self, query: dict[str, list[str]]) -> list[dict[str, Any]]:
        uids = sorted({one.StudyInstanceUID for one in self.held})
        first, most = int(query.get("offset", ["0"])[0]), int(query["limit"][0])
        counts = {uid: sum(o.StudyInstanceUID == uid for o in self.held) for uid in uids}
        return [
            {
                "0020000D": {"vr": "UI", "Value": [uid]},
                "00201208": {"vr": "IS", "Value": [counts[uid]]},
            }
            for uid in uids[first : first + most]
        ]


class _Spoken(BaseHTTPRequestHandler):
    archive: Archive

    def do_GET(self) -> None:
        place = urlsplit(self.path)
        path = place.path.removeprefix("/dicom-web")
        self.archive.asked.append(path)
        if not self.archive.lets_in(self.headers.get("Authorization", "")):
            self.send_error(401)
            return
        words = set(path.split("/"))
        if words & (self.archive.denied | self.archive.torn):
            self.send_error(403 if words & self.archive.denied else 500)
            return
        found = self.archive.answer(path, parse_qs(place.query))
        if found is None:
            self.send_error(404)
            return
        self._say(*found)

    def _say(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.archive.left == 0:
            body = body[: len(body) // 2]
        self.archive.left = max(self.archive.left - 1, -1) if self.archive.left else 0
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Is silent."""


class _Wrapped(ThreadingHTTPServer):
    """Speaks TLS; a handshake that fails is the caller's concern alone."""

    daemon_threads = True
    context: ssl.SSLContext

    def get_request(self) -> tuple[Any, Any]:
        plain, address = super().get_request()
        return self.context.wrap_socket(plain, True, do_handshake_on_connect=False), address

    def handle_error(self, *_: object) -> None:
        """Is silent: the caller broke off."""


def bytes_of_file(data: Dataset) -> bytes:
    """As a file."""
    file = BytesIO()
    data.save_as(file, enforce_file_format=True)
    return file.getvalue()


_bytes = bytes_of_file


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Archive]]:
    """Starts archives; one whose `admits` is given asks for a certificate of that authority."""
    servers: list[ThreadingHTTPServer] = []

    def start(
        *held: Dataset, signer: Authority = AUTHORITY, admits: Authority | None = None, **more: Any
    ) -> Archive:
        key = new_tls_key()
        shown = pem(server_certificate(signer, key.public_key(), ["127.0.0.1"], NOW))
        (tmp_path / "server.pem").write_bytes(shown + private_pem(key))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "server.pem")
        if admits:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=admits.pem.decode())
        archive = Archive(list(held), **more)
        spoken = type("Spoken", (_Spoken,), {"archive": archive})
        server = _Wrapped(("127.0.0.1", 0), spoken)
        server.context = context
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        archive.url = f"https://{_NEAR}:{server.server_port}/dicom-web"
        return archive

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def log_in(home: Path) -> Callable[..., None]:
    """Writes the login of an archive, and files beside it, all 0600."""

    def write(archive: Archive, files: dict[str, str | bytes] | None = None, **login: str) -> None:
        keys = HomePaths(home).keys
        files = {"ca.pem": AUTHORITY.pem, **(files or {})}
        files["dicomweb.json"] = json.dumps({archive.url: {"authority": "ca.pem", **login}})
        for name, block in files.items():
            (keys / name).write_bytes(block.encode() if isinstance(block, str) else block)
            (keys / name).chmod(0o600)

    return write


@pytest.fixture
def certified() -> Callable[[Authority], bytes]:
    """A certificate for this site and its key, in one PEM."""

    def make(signer: Authority) -> bytes:
        key = new_tls_key()
        request = read_signing_request(signing_request(key, "north"), "north")
        return pem(site_certificate(signer, request, NOW)) + private_pem(key)

    return make


@pytest.fixture
def authorities() -> tuple[Authority, Authority]:
    """The hospital's, and one that nobody knows."""
    return AUTHORITY, STRANGERS


@pytest.fixture
def import_from(home: Path, decoder: Decoder) -> Callable[[Archive], Tally]:
    """Imports everything that an archive has; raises what the command would say."""

    def run(archive: Archive) -> Tally:
        store, reach = open_store(home), Reach(HomePaths(home))
        task = Import(store, site_key(home), decoder, reach=reach)
        wanted = Wanted(
            archive.url, "", frozenset(), Labels(), lambda _: None, reach, task.looked
        )  # fmt: skip
        try:
            return task.run(source_of(wanted, decoder))
        finally:
            with suppress(Exception):
                store.close()

    return run
