"""What a source of cases tells: finds, what it passes over, and how one case is read again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from numpy.typing import NDArray

from client.images import Geometry

Locator: TypeAlias = Mapping[str, Any]
"""Plain JSON that says where a case's pixels are; "kind" names the reader. Kept sealed."""


class SourceError(ValueError):
    """A source that cannot be used, in one sentence without patients and file names."""


class PixelTrouble(RuntimeError):
    """Why a case's pixels cannot be had: the message is one of TROUBLES and nothing else."""


TROUBLES: Mapping[str, str] = {
    "unreadable": "broken, or of a kind that cannot be decoded",
    "changed": "its files are no longer those that were imported",
    "missing": "a file of it is not there",
    "too large": "more than the decoder's memory holds",
    "too slow": "not decoded within the time allowed",
    "killed": "the decoder died of it",
    "away": "the place where it is kept could not be reached",
    "refused": "the archive where it is kept refuses this site's login",
    "untrusted": "the archive where it is kept has a certificate that is not trusted here",
}
OF_THE_PLACE = frozenset({"away", "refused", "untrusted"})
"""Troubles that say nothing of a case; it may be read again once the place is mended."""


@dataclass(frozen=True, slots=True)
class Find:
    """One case as its source has it, before it is keyed.

    Attributes:
        name: the source's own name for the case, such as study and series.
        patient: the source's name for the patient.
        locator: how its pixels are read again.
        instances: what exactly it consists of; a later one more is another list.
        named: the source names patients; else `patient` is the case's own name.
        split: "pool" or "locked".
        answer: the known answer of a locked case, one of 0 and 1 per class.
        facts: about it, in closed words: modality, sex, age band, month, body part, scanner.
    """

    name: str
    patient: str
    locator: Locator
    instances: Sequence[str]
    named: bool = True
    split: str = "pool"
    answer: tuple[int, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Passed:
    """Files or cases passed over.

    Attributes:
        reason: in our own words, the same for all of its kind.
        name: of the case where it is known; only its key is ever told.
        count: of files, or of cases.
    """

    reason: str
    name: str = ""
    count: int = 1


@dataclass(frozen=True, slots=True)
class Looked:
    """A part of a source was looked at whole, and need not be until its mark changes.

    Attributes:
        part: the source's own name for it, such as a study; only its key is kept.
        mark: what it looked like, such as how many instances it had.
    """

    part: str
    mark: str


class Source(Protocol):
    """A place that holds cases."""

    def finds(self) -> Iterator[Find | Passed | Looked]:
        """Every case in a fixed order, what was passed over, and which parts are done.

        Raises:
            SourceError: the place as a whole cannot be used.
        """
        ...


@dataclass(frozen=True, slots=True)
class Frame:
    """One slice: shown value = stored value * slope + intercept."""

    stored: NDArray[Any]
    slope: float = 1.0
    intercept: float = 0.0


@dataclass(frozen=True, slots=True)
class Frames:
    """A case opened for reading, in the child.

    Attributes:
        count: slices.
        read: one of them; gray (height, width) of any number type, colour (height, width, 3) uint8.
        geometry: as the source says it; windows may be empty, slope and intercept are unused.
    """

    count: int
    read: Callable[[int], Frame]
    geometry: Geometry
