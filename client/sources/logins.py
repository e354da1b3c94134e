"""How a site enters its archives: `keys/dicomweb.json` (0600), by the archive's address.

    {ADDRESS: {"user": "...", "password": "...", "token_file": "archive.token",
               "token_variable": "ARCHIVE_TOKEN", "authority": "ca.pem",
               "certificate": "site.pem"}}

All are optional: a user and a password, or a bearer token (from a file, or from a variable of the
environment), or neither. Files are named relative to the `keys` folder; those that hold a secret
are 0600, too, and a certificate's file holds its key. Without an entry there is no login; without
an authority those of the package certifi are trusted. Everything is read anew for every case, so
that what was exchanged counts at once.
"""

from __future__ import annotations

import json
import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from client.sources.source import SourceError

_FIELDS = ("user", "password", "token_file", "token_variable", "authority", "certificate")
_SECRETS = ("password", "token_file", "token_variable")
_NEAR = {"localhost", "127.0.0.1", "::1"}
_TOKEN = re.compile(r"[\x21-\x7e]{1,16384}")
_NAME = "keys/dicomweb.json"


@dataclass(frozen=True, slots=True)
class Logins:
    """The logins in a site's folder of keys.

    Attributes:
        keys: the folder.
    """

    keys: Path

    def server(self, url: str) -> dict[str, str]:
        """An archive as the decoding child is told of it: url, and of user, password, token,
        authority, certificate what there is; files absolute.

        Raises:
            SourceError: the login is malformed, readable by others, or would travel in the clear.
        """
        place = urlsplit(url)
        if place.username is not None:
            raise SourceError(f"a login within the address is refused; accepted is {_NAME}")
        login = self._login(url)
        secret = any(login.get(name) for name in _SECRETS)
        if place.scheme == "http" and secret and place.hostname not in _NEAR:
            raise SourceError("a login over plain http is refused; accepted is an https address")
        told = {"url": url, **{k: login[k] for k in ("user", "password") if k in login}}
        if token := self._token(login):
            told["token"] = token
        for kind in ("authority", "certificate"):
            if kind in login:
                told[kind] = str(self._file(kind, login[kind], secret=kind == "certificate"))
        _check_tls(told)
        return told

    def _login(self, url: str) -> Mapping[str, str]:
        file = self.keys / "dicomweb.json"
        if not file.exists():
            return {}
        _check_closed(file, _NAME)
        try:
            logins = json.loads(file.read_text(encoding="utf-8"))
        except ValueError:
            raise SourceError(f"{_NAME} is no JSON") from None
        if not isinstance(logins, dict):
            raise SourceError(f"{_NAME} is no object; accepted is one with addresses as its keys")
        login = {url.rstrip("/"): login for url, login in logins.items()}.get(url.rstrip("/"), {})
        if not _is_login(login):
            raise SourceError(f"{_NAME}: accepted are {', '.join(sorted(_FIELDS))}, each a text")
        ways = [w for w in ("user", "token_file", "token_variable") if login.get(w)]
        if len(ways) > 1:
            raise SourceError(f"{_NAME}: {' and '.join(ways)} for one archive; accepted is one")
        return dict(login)

    def _token(self, login: Mapping[str, str]) -> str:
        """The bearer token; "" where there is to be none."""
        if variable := login.get("token_variable"):
            words, found = "the environment's variable in token_variable", os.environ.get(variable)
            if found is None:
                raise SourceError(f"{_NAME}: {words} is not set here")
        elif name := login.get("token_file"):
            words = "the file in token_file"
            found = self._file("token_file", name, secret=True).read_text("utf-8", "replace")
        else:
            return ""
        if not _TOKEN.fullmatch(found.strip()):
            raise SourceError(f"{_NAME}: {words} holds no token; accepted is one word of ASCII")
        return found.strip()

    def _file(self, kind: str, name: str, *, secret: bool) -> Path:
        file = self.keys / name
        if not os.access(file, os.R_OK) or not file.is_file():
            words = "is not there, or cannot be read; accepted is one in the folder keys"
            raise SourceError(f"{_NAME}: the file in {kind} {words}")
        if secret:
            _check_closed(file, f"{_NAME}: the file in {kind}")
        return file


def _is_login(login: object) -> bool:
    if not isinstance(login, dict):
        return False
    return set(login) <= set(_FIELDS) and all(isinstance(v, str) for v in login.values())


def _check_closed(file: Path, name: str) -> None:
    if file.stat().st_mode & 0o077:
        raise SourceError(f"{name} can be read by others; accepted is mode 0600")


def _check_tls(told: Mapping[str, str]) -> None:
    """Refuse files that TLS could not use, where it can still be said which."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if "authority" in told:
            context.load_verify_locations(cafile=told["authority"])
    except (OSError, ValueError):
        words = "holds no certificate; accepted is PEM"
        raise SourceError(f"{_NAME}: the file in authority {words}") from None
    try:
        if "certificate" in told:  # a password is never asked for
            context.load_cert_chain(told["certificate"], password=lambda: "")
    except (OSError, ValueError):
        words = "is no certificate with its key; accepted are both in one PEM file, not encrypted"
        raise SourceError(f"{_NAME}: the file in certificate {words}") from None
