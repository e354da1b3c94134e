"""Fingerprints that two people can compare by telephone, and the comparison itself."""

from __future__ import annotations

import hmac
import re
import sys
from hashlib import sha256

import typer

from daemons.terminal import Refused

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford: no I, L, O, U
_HEARD = str.maketrans("ILO", "110")
_GROUPS, _LETTERS = 5, 4


def fingerprint(block: bytes) -> str:
    """100 bits of a SHA-256, as five groups of four: 4F7K-92QM-...

    Enough against somebody who looks for other content with the fingerprint of this one.
    """
    number = int.from_bytes(sha256(block).digest(), "big") >> (256 - 5 * _GROUPS * _LETTERS)
    letters = ""
    for _ in range(_GROUPS * _LETTERS):
        letters = _ALPHABET[number & 31] + letters
        number >>= 5
    return "-".join(re.findall("." * _LETTERS, letters))


def check_fingerprint(what: str, actual: str, heard: str) -> None:
    """Refuse when what was heard is not the fingerprint; case, spaces and hyphens do not count.

    Args:
        what: "the kit", "the request": for the sentence.
        actual: of the file at hand.
        heard: what the other side read out.

    Raises:
        Refused: they differ.
    """
    if not hmac.compare_digest(_plain(actual), _plain(heard)):
        raise Refused(
            f"{what}'s fingerprint is {actual}, and {heard} was given: "
            "it is another file, or was changed on its way; nothing was done"
        )


def compare_by_telephone(what: str, actual: str, heard: str, *, agreed: bool = False) -> None:
    """Return when the fingerprint was compared: given, agreed to beforehand, or asked for now.

    Args:
        what: "the kit", "the request": for the sentence.
        actual: of the file at hand.
        heard: what the other side read out; "" if it is still to be asked.
        agreed: somebody has compared it already.

    Raises:
        Refused: it differs, or there is nobody to ask.
    """
    if heard:
        check_fingerprint(what, actual, heard)
    elif not agreed and not _confirmed(what, actual):
        raise Refused(f"{what}'s fingerprint was not confirmed; nothing was done")


def _confirmed(what: str, actual: str) -> bool:
    print(f"{what}'s fingerprint: {actual}", file=sys.stderr)
    if not sys.stdin.isatty():
        raise Refused(
            "nobody is there to compare it: give what the other side reads out as --fingerprint"
        )
    return typer.confirm("Does the other side read out the same by telephone?", err=True)


def _plain(text: str) -> bytes:
    return re.sub(r"[\s-]", "", text).upper().translate(_HEARD).encode()
