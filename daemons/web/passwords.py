"""Passwords as scrypt hashes, each with a salt of its own."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets

LEAST, MOST = 12, 1024
_COST = {"n": 2**14, "r": 8, "p": 1}


class PasswordRefused(ValueError):
    """A password that is not kept, in one sentence."""


def hashed(password: str) -> str:
    """What is kept of a password, as JSON.

    Raises:
        PasswordRefused: it is shorter than `LEAST` characters, or longer than `MOST`.
    """
    if not LEAST <= len(password) <= MOST:
        raise PasswordRefused(
            f"a password of {len(password)} characters; accepted are {LEAST} or more"
        )
    salt = secrets.token_bytes(16)
    return json.dumps({"format": 1, "salt": salt.hex(), "hash": _hash(password, salt).hex()})


def is_right(kept: str, password: str) -> bool:
    """Whether it is the password of which that was kept.

    As slow where nothing was kept: the time tells nobody whether a name exists.
    """
    salt, wanted = bytes(16), bytes(32)
    try:
        content = json.loads(kept)
        salt, wanted = bytes.fromhex(content["salt"]), bytes.fromhex(content["hash"])
        known = True
    except (ValueError, KeyError, TypeError):
        known = False
    same = hmac.compare_digest(_hash(password[:MOST], salt), wanted)
    return same and known


def _hash(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, dklen=32, maxmem=2**26, **_COST)
