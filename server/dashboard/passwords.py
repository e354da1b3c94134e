"""The dashboard's one password: set by the server's admin, kept as a scrypt hash."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from pathlib import Path

from protocol.files import replace_file

LEAST = 12
_COST = {"n": 2**14, "r": 8, "p": 1}


class PasswordRefused(ValueError):
    """A password that is not kept, in one sentence."""


def set_password(file: Path, password: str) -> None:
    """Keep the password's hash in that file, readable by its owner alone.

    Raises:
        PasswordRefused: it is shorter than `LEAST` characters.
    """
    if len(password) < LEAST:
        raise PasswordRefused(
            f"a password of {len(password)} characters; accepted are {LEAST} or more"
        )
    salt = secrets.token_bytes(16)
    content = {"format": 1, "salt": salt.hex(), "hash": _hash(password, salt).hex()}
    replace_file(file, json.dumps(content).encode(), sync=True)
    os.chmod(file, 0o600)


def has_password(file: Path) -> bool:
    """Whether a password was set."""
    return file.exists()


def right_password(file: Path, password: str) -> bool:
    """Whether it is the one that was set; False where none was."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        salt, wanted = bytes.fromhex(content["salt"]), bytes.fromhex(content["hash"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return hmac.compare_digest(_hash(password, salt), wanted)


def _hash(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, dklen=32, maxmem=2**26, **_COST)
