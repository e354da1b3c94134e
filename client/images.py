"""What a case's pixels are: small for a network, whole for a physician.

Two implementations: `ArrayImages`, one array in a file (simulations), and `client.sources.located`,
which reads where the hospital keeps its images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from protocol.records import Indices

Image: TypeAlias = tuple[int, int, int]
"""Channels, height, width: a study's `task.image`."""


class Unreadable(RuntimeError):
    """Pixels that cannot be had now, or no longer; the sentence names no patient and no path.

    Attributes:
        rows: the source's rows of the cases that it is about.
    """

    def __init__(self, sentence: str, rows: Sequence[int] = ()) -> None:
        super().__init__(sentence)
        self.rows = tuple(int(row) for row in rows)


@dataclass(frozen=True, slots=True)
class Window:
    """Which shown values run from black to white: `centre - width / 2` to `centre + width / 2`."""

    centre: float
    width: float
    name: str = ""


@dataclass(frozen=True, slots=True)
class Geometry:
    """How a volume's stored values and axes are meant.

    Attributes:
        slope: shown value = stored value * slope + intercept (Hounsfield units in CT).
        intercept: see slope.
        windows: to begin with, best first; at least one, in shown values; none for colour.
        inverted: small values are shown white (MONOCHROME1).
        spacing: mm between slices, rows and columns; 0 where the source does not say.
        directions: letters at the left, right, top and bottom edge of a slice, such as R L A P;
            "" each where the source does not say.
        unit: of shown values, "HU" or "".
    """

    slope: float = 1.0
    intercept: float = 0.0
    windows: tuple[Window, ...] = ()
    inverted: bool = False
    spacing: tuple[float, float, float] = (0.0, 0.0, 0.0)
    directions: tuple[str, str, str, str] = ("", "", "", "")
    unit: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """A case at full resolution; slices are read from disk as they are touched.

    Attributes:
        slices: (n, height, width) int16 or uint16, or in colour (n, height, width, 3) uint8; a
            single image has n = 1. Read-only.
        geometry: how to show them.
    """

    slices: NDArray[Any]
    geometry: Geometry

    @property
    def colour(self) -> bool:
        """Whether slices are red, green and blue."""
        return self.slices.ndim == 4


class Images(Protocol):
    """Pixels by the source's row, read when they are needed."""

    def take(self, rows: Indices, image: Image) -> NDArray[np.uint8]:
        """(k, *image) pixels of these rows, in the order given.

        Raises:
            Unreadable: of some of them; its `rows` say of which.
        """
        ...

    def volume(self, row: int) -> Volume:
        """One case at full resolution.

        Raises:
            Unreadable: it cannot be had.
        """
        ...


@dataclass(frozen=True, slots=True)
class ArrayImages:
    """Images that are in one array of (n, channels, height, width) uint8, in memory or mapped."""

    array: NDArray[np.uint8]

    def take(self, rows: Indices, image: Image) -> NDArray[np.uint8]:
        """(k, *image) pixels of these rows, in the order given.

        Raises:
            ValueError: the array's images are of another size.
        """
        if not len(rows):
            return np.zeros((0, *image), dtype=np.uint8)
        if self.array.shape[1:] != tuple(image):
            raise ValueError(
                f"the study asks for images of {image}; accepted is {self.array.shape[1:]}, "
                "as this site's are"
            )
        return self.array[rows]

    def volume(self, row: int) -> Volume:
        """One image as a volume of one slice.

        Raises:
            Unreadable: there is no such row.
        """
        if not 0 <= row < len(self.array):
            raise Unreadable("the image is not in this site's array", [row])
        return single(self.array[row])


def slices_seen(count: int, planes: int) -> list[int]:
    """Which of a volume's slices a network of so many channels sees: evenly spaced.

    The page knows the same rule (`page/second.js`), and shows the model's map on these.
    """
    return [(c + 1) * count // (planes + 1) for c in range(planes)]


def single(planes: NDArray[np.uint8]) -> Volume:
    """A volume of one slice from (channels, height, width) uint8 planes."""
    if planes.shape[0] == 3:
        return Volume(frozen(np.moveaxis(planes, 0, -1)[None]), Geometry())
    whole = Geometry(windows=(Window(127.5, 255.0),))
    return Volume(frozen(planes[:1].astype(np.uint16)), whole)


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """The same values, contiguous and read-only."""
    kept = np.ascontiguousarray(array)
    kept.flags.writeable = False
    return kept
