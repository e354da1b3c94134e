"""Passwords as argon2id hashes, each with a salt of its own.

The cost is OWASP's least for argon2id: 19 MiB, two passes, one lane. One try takes about 45 ms of
a core of the machine on which this was written; `docs/decisions.md` has the numbers. What wardround
kept before, scrypt in JSON, is still right and is stale.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

LEAST, MOST = 12, 1024
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


class PasswordRefused(ValueError):
    """A password that is not kept, in one sentence."""


def hashed(password: str) -> str:
    """What is kept of a password, with the cost and the salt that it was made with.

    Raises:
        PasswordRefused: it is shorter than `LEAST` characters, or longer than `MOST`.
    """
    if not LEAST <= len(password) <= MOST:
        raise PasswordRefused(
            f"a password of {len(password)} characters; accepted are {LEAST} or more"
        )
    return _HASHER.hash(_bytes(password))


def is_right(kept: str, password: str) -> bool:
    """Whether it is the password of which that was kept.

    As slow where nothing was kept: the time tells nobody whether a name exists.
    """
    try:
        return _HASHER.verify(kept, _bytes(password[:MOST]))
    except InvalidHashError:
        _nobodys(password)
        return _was_right(kept, password[:MOST])
    except VerificationError:
        return False


def is_stale(kept: str) -> bool:
    """Whether it was made at another cost than is paid now."""
    try:
        return _HASHER.check_needs_rehash(kept)
    except InvalidHashError:
        return True


def _was_right(kept: str, password: str) -> bool:
    """The same of a hash as it was kept before argon2id."""
    try:
        content = json.loads(kept)
        salt, wanted = bytes.fromhex(content["salt"]), bytes.fromhex(content["hash"])
    except (ValueError, KeyError, TypeError):
        return False
    cost = {"n": 2**14, "r": 8, "p": 1, "dklen": 32, "maxmem": 2**26}
    return hmac.compare_digest(hashlib.scrypt(_bytes(password), salt=salt, **cost), wanted)


def _nobodys(password: str) -> None:
    """Spend what a try costs on a password that nobody has."""
    try:
        _HASHER.verify(_nobody(), _bytes(password[:MOST]))
    except VerificationError:
        return


@cache
def _nobody() -> str:
    return _HASHER.hash(secrets.token_bytes(32))


def _bytes(password: str) -> bytes:
    """Halves of a character, which JSON can name, are none of anybody's password."""
    return password.encode("utf-8", "surrogatepass")
