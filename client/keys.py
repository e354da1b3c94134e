"""Case and patient keys, and each patient's audit number, from the site's secret key.

HMAC-SHA256 with a key that never leaves the site: whoever sees a key cannot test a guessed name.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256


@dataclass(frozen=True, slots=True)
class SiteKey:
    """The site's secret; at least 16 bytes."""

    secret: bytes

    def __post_init__(self) -> None:
        if len(self.secret) < 16:
            raise ValueError(f"a site key of {len(self.secret)} bytes; accepted are 16 or more")

    def case(self, name: str) -> str:
        """The key of a case (32 hex digits) from the source's own name for it."""
        return self._mac("case", name).hex()[:32]

    def patient(self, name: str) -> str:
        """The key of a patient (32 hex digits)."""
        return self._mac("patient", name).hex()[:32]

    def number(self, name: str) -> float:
        """The patient's number in [0, 1); below a study's audit share means audit set."""
        return int.from_bytes(self._mac("number", name)[:6], "big") / 2**48

    def instances(self, names: Iterable[str]) -> str:
        """The pin (64 hex digits) of an exact list of instances, in whatever order they came."""
        return self._mac("instances", "\0".join(sorted(names))).hex()

    def secret_for(self, purpose: str) -> bytes:
        """32 bytes for another purpose, from which the secret cannot be found."""
        return self._mac("secret", purpose)

    def _mac(self, what: str, name: str) -> bytes:
        return hmac.new(self.secret, f"{what}\0{name}".encode(), sha256).digest()
