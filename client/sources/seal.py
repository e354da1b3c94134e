"""Locators at rest: paths may hold names, so the database keeps them encrypted."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from client.keys import SiteKey
from client.sources.source import Locator, SourceError

_NONCE = 12


@dataclass(frozen=True, slots=True)
class Seal:
    """AES-256-GCM with a key from the site's secret; a blob opens only for its own case."""

    key: SiteKey

    def close(self, locator: Locator, case: str) -> bytes:
        """The locator of a case (by its key) as bytes that tell nothing but their length."""
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher().encrypt(nonce, json.dumps(locator).encode(), case.encode())

    def open(self, blob: bytes, case: str) -> Locator:
        """The locator again.

        Raises:
            SourceError: another site's secret, or damaged.
        """
        try:
            plain = self._cipher().decrypt(blob[:_NONCE], blob[_NONCE:], case.encode())
        except InvalidTag:
            raise SourceError("a case's locator does not open with this site's secret") from None
        locator: Locator = json.loads(plain)
        return locator

    def _cipher(self) -> AESGCM:
        return AESGCM(self.key.secret_for("locators"))
