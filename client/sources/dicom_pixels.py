"""The pixels of a DICOM case. Runs in the decoding child."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut
from pydicom.pixels.utils import pixel_array

from client.images import Geometry, Window
from client.sources import twelve_bits
from client.sources.source import Frame, Frames, Locator, PixelTrouble

twelve_bits.enable()

_LETTERS = (("R", "L"), ("A", "P"), ("F", "H"))  # DICOM's axes run to left, posterior, head


def frames(locator: Locator) -> Frames:
    """The slices of a case in the order that the import found, several of one file by position.

    Raises:
        PixelTrouble: a file is gone, or is another instance than was pinned.
    """
    root, files = Path(locator["root"]), locator["files"]
    order = [(i, k) for i, (_, _, count) in enumerate(files) for k in range(count)]
    first = _dataset(root, files[0])
    if len(files) == 1 and len(order) > 1:
        order = [(0, k) for k in _by_position(first, len(order))]

    def read(i: int) -> Frame:
        file, k = order[i]
        return _frame(_dataset(root, files[file]), k)

    middle_file, middle = order[len(order) // 2]
    middle_data = _dataset(root, files[middle_file])
    geometry = _geometry(middle_data, middle, _gap(root, files, order))
    return Frames(len(order), read, geometry)


def _dataset(root: Path, entry: list[Any]) -> Dataset:
    name, uid, count = entry
    path = root / name
    stat = path.stat()
    data = _read(path, stat.st_mtime_ns, stat.st_size)
    if str(data.get("SOPInstanceUID", "")) != uid or _count(data) != count:
        raise PixelTrouble("changed")
    return data


@lru_cache(maxsize=1)
def _read(path: Path, changed: int, size: int) -> Dataset:
    return pydicom.dcmread(path)


def _count(data: Dataset) -> int:
    return max(1, int(data.get("NumberOfFrames") or 1))


def _frame(data: Dataset, k: int) -> Frame:
    stored = pixel_array(data, index=k)
    if stored.dtype.byteorder not in "=|":
        stored = stored.astype(stored.dtype.newbyteorder("="))
    if data.get("PhotometricInterpretation") == "PALETTE COLOR":
        return Frame(_colour(apply_color_lut(stored, data), 16))
    if stored.ndim == 3:
        return Frame(_colour(stored, int(data.BitsStored)))
    if "ModalityLUTSequence" in data:
        stored = apply_modality_lut(stored, data)
        return Frame(_looked_up(stored, data))
    slope, intercept = _scale(data, k)
    if _has_lookup(data):
        shown = np.rint(stored * slope + intercept).astype(np.int32)
        return Frame(_looked_up(shown, data))
    return Frame(stored, slope, intercept)


def _colour(stored: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    """Red, green and blue, the top 8 bits."""
    if stored.dtype == np.uint8:
        return stored
    return (stored >> max(0, bits - 8)).astype(np.uint8)


def _has_lookup(data: Dataset) -> bool:
    """The values of interest are a table, and no window is there that could stand for it."""
    return "VOILUTSequence" in data and data.get("WindowCenter") in (None, "")


def _looked_up(values: NDArray[Any], data: Dataset) -> NDArray[Any]:
    return apply_voi_lut(values, data) if _has_lookup(data) else values


def _value(data: Dataset, k: int, name: str, group: str) -> Any:
    """An attribute of one frame: its own, all frames', or the file's; None where nobody says."""
    per = data.get("PerFrameFunctionalGroupsSequence") or []
    places = [per[k]] if k < len(per) else []
    places += list(data.get("SharedFunctionalGroupsSequence") or [])
    for place in places:
        for item in place.get(group) or []:
            if item.get(name) not in (None, ""):
                return item.get(name)
    return data.get(name)


def _scale(data: Dataset, k: int) -> tuple[float, float]:
    slope = _value(data, k, "RescaleSlope", "PixelValueTransformationSequence")
    intercept = _value(data, k, "RescaleIntercept", "PixelValueTransformationSequence")
    slope = 1.0 if slope in (None, "") else float(slope)
    if not slope or not np.isfinite(slope):
        raise PixelTrouble("unreadable")
    return slope, 0.0 if intercept in (None, "") else float(intercept)


def _position(data: Dataset, k: int) -> NDArray[np.float64] | None:
    told = _value(data, k, "ImagePositionPatient", "PlanePositionSequence")
    return np.array([float(v) for v in told]) if told and len(told) == 3 else None


def _axes(data: Dataset, k: int) -> NDArray[np.float64] | None:
    """(2, 3) cosines of a row's and a column's direction."""
    told = _value(data, k, "ImageOrientationPatient", "PlaneOrientationSequence")
    return np.array([float(v) for v in told]).reshape(2, 3) if told and len(told) == 6 else None


def _along(data: Dataset, k: int) -> float | None:
    """Where a frame lies along its own normal, mm."""
    position, axes = _position(data, k), _axes(data, k)
    if position is None or axes is None:
        return None
    return float(np.cross(axes[0], axes[1]) @ position)


def _by_position(data: Dataset, count: int) -> list[int]:
    """The frames of one file from foot to head, say; as they come where it does not say."""
    places = [_along(data, k) for k in range(count)]
    known = [place for place in places if place is not None]
    if len(known) < count:
        return list(range(count))
    return sorted(range(count), key=lambda k: (known[k], k))


def _gap(root: Path, files: list[Any], order: list[tuple[int, int]]) -> float:
    """mm between the first two slices; 0 where nobody says."""
    if len(order) < 2:
        return 0.0
    places = [_along(_dataset(root, files[i]), k) for i, k in order[:2]]
    if places[0] is None or places[1] is None:
        return 0.0
    return abs(places[1] - places[0])


def _geometry(data: Dataset, k: int, gap: float) -> Geometry:
    spacing = _value(data, k, "PixelSpacing", "PixelMeasuresSequence")
    spacing = spacing or data.get("ImagerPixelSpacing") or (0.0, 0.0)
    return Geometry(
        windows=() if _has_lookup(data) else _windows(data, k),
        inverted=data.get("PhotometricInterpretation") == "MONOCHROME1",
        spacing=(gap, float(spacing[0]), float(spacing[1])),
        directions=_directions(_axes(data, k)),
        unit="" if data.get("Modality") != "CT" or _has_lookup(data) else "HU",
    )


def _windows(data: Dataset, k: int) -> tuple[Window, ...]:
    centres = _several(_value(data, k, "WindowCenter", "FrameVOILUTSequence"))
    widths = _several(_value(data, k, "WindowWidth", "FrameVOILUTSequence"))
    return tuple(
        Window(float(centre), float(width))
        for centre, width in zip(centres, widths, strict=False)
        if float(width) > 0
    )


def _several(value: Any) -> list[Any]:
    if value in (None, ""):
        return []
    return list(value) if hasattr(value, "__iter__") and not isinstance(value, str) else [value]


def _directions(axes: NDArray[np.float64] | None) -> tuple[str, str, str, str]:
    """Letters at the left, right, top and bottom edge."""
    if axes is None or not np.isfinite(axes).all():
        return ("", "", "", "")
    (left, right), (top, bottom) = (_ends(axis) for axis in axes)
    return (left, right, top, bottom)


def _ends(axis: NDArray[np.float64]) -> tuple[str, str]:
    """The letters where an axis begins and ends."""
    i = int(np.abs(axis).argmax())
    low, high = _LETTERS[i]
    return (low, high) if axis[i] > 0 else (high, low)
