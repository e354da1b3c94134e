"""What a site may say: every field in bounds before anything looks at it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from protocol.coordination import STANDINGS
from protocol.coordination_pb2 import (
    Arrival,
    FromSite,
    Head,
    Heartbeat,
    Progress,
    Standing,
)
from server.coordination.refusal import invalid

_HASH = re.compile(r"[0-9a-f]{64}")
_PACKAGE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,40}")
_MOST = 1 << 53  # of a number that goes on counting; more than any site will reach
_VERSIONS, _VERSION = 32, 64
_CYCLES, _MINUTES = 100_000, 1e7


def check(said: FromSite) -> str:
    """The field that is set, once it is known to be in bounds.

    Raises:
        Refusal: nothing is set, or something is out of bounds.
    """
    field = said.WhichOneof("said")
    if field is None:
        raise invalid("a message that says nothing")
    _CHECKS[field](getattr(said, field))
    return str(field)


def check_versions(versions: Mapping[str, str]) -> None:
    """Refuse versions that are no short texts by package."""
    if len(versions) > _VERSIONS:
        raise invalid(f"{len(versions)} versions: accepted are at most {_VERSIONS}")
    for package, version in versions.items():
        if not _PACKAGE.fullmatch(package):
            raise invalid("a version's name: accepted are up to 41 letters, digits, _ . -")
        if len(version) > _VERSION or not version.isprintable():
            raise invalid(f"a version: accepted are up to {_VERSION} printable characters")


def _arrival(arrival: Arrival) -> None:
    _number("acknowledged", arrival.acknowledged)
    check_versions(arrival.versions)
    for standing in arrival.standings:
        _standing(standing)
    _head(arrival.head)


def _heartbeat(beat: Heartbeat) -> None:
    _number("acknowledged", beat.acknowledged)
    if not math.isfinite(beat.sent) or beat.sent < 0:
        raise invalid("a heartbeat's time: accepted are seconds since 1970")


def _progress(progress: Progress) -> None:
    _study(progress.study)
    if progress.cycle > _CYCLES:
        raise invalid(f"cycle {progress.cycle}: accepted is up to {_CYCLES}")
    if not 0 <= progress.minutes <= _MINUTES:  # and not NaN
        raise invalid(f"minutes: accepted is a number from 0 to {_MINUTES:.0f}")


def _standing(standing: Standing) -> None:
    _study(standing.study)
    if standing.state not in STANDINGS:
        raise invalid(f"a standing: accepted is {', '.join(STANDINGS)}")


def _head(head: Head) -> None:
    _number("lines", head.lines)
    if head.left > _CYCLES:
        raise invalid(f"branch {head.left}: accepted is up to {_CYCLES}")
    if not _HASH.fullmatch(head.hash) and (head.lines or head.hash):
        raise invalid("a head's hash: accepted are 64 hex digits")


def _study(identity: str) -> None:
    if not _HASH.fullmatch(identity):
        raise invalid("a study's identity: accepted are 64 hex digits")


def _number(name: str, value: int) -> None:
    if value > _MOST:
        raise invalid(f"{name} {value}: accepted is up to {_MOST}")


_CHECKS: Mapping[str, Callable[[Any], None]] = {
    "arrival": _arrival,
    "heartbeat": _heartbeat,
    "progress": _progress,
    "head": _head,
    "standing": _standing,
}
