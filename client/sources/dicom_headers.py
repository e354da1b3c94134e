"""What an import must know of a DICOM file before its pixels. Runs in the decoding child."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.tag import Tag

_TEXTS = (
    "SOPInstanceUID",
    "SOPClassUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "PatientID",
    "Modality",
    "BurnedInAnnotation",
    "PatientSex",
    "PatientAge",
    "BodyPartExamined",
    "Manufacturer",
    "StudyDate",
)
_NUMBERS = (
    "Rows",
    "Columns",
    "NumberOfFrames",
    "InstanceNumber",
    "ImagePositionPatient",
    "ImageOrientationPatient",
)
_TAGS = {name: Tag(name) for name in (*_TEXTS, *_NUMBERS)}
_WANTED = [*_TAGS.values(), Tag("SpecificCharacterSet")]


def headers(paths: Sequence[str]) -> list[dict[str, Any]]:
    """One for each file: what its header says as text and numbers, or {"trouble": in our words}."""
    return [_header(path) for path in paths]


def _header(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            data = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=_WANTED)
            return told(data)
    except InvalidDicomError:
        return {"trouble": "no DICOM file"}
    except MemoryError:
        return {"trouble": "a file larger than the decoder's memory"}
    except Exception:  # a parser may raise anything over a damaged file
        return {"trouble": "a file that cannot be read"}


def told(data: Dataset) -> dict[str, Any]:
    """The header as plain JSON.

    Raises:
        Exception: whatever is raised over values that are none.
    """
    position = _decimals(data, "ImagePositionPatient")
    orientation = _decimals(data, "ImageOrientationPatient")
    return {name: _text(data, name) for name in _TEXTS} | {
        "Rows": _short(data, "Rows"),
        "Columns": _short(data, "Columns"),
        "Frames": max(1, int(_text(data, "NumberOfFrames") or 1)),
        "InstanceNumber": int(_text(data, "InstanceNumber") or 0),
        "Position": position if len(position) == 3 else [],
        "Orientation": orientation if len(orientation) == 6 else [],
    }


def _text(data: Dataset, name: str) -> str:
    """A value as text. The bytes themselves where they are ASCII: pydicom's own way takes longer
    than all the rest of reading a header.
    """
    element = data.get_item(_TAGS[name])
    if element is None:
        return ""
    value = element.value
    if isinstance(value, bytes) and value.isascii():
        return value.decode("ascii").strip(" \0")
    return str(data[_TAGS[name]].value or "").strip()


def _decimals(data: Dataset, name: str) -> list[float]:
    text = _text(data, name).strip("[]").replace(",", "\\")
    return [float(part) for part in text.split("\\")] if text else []


def _short(data: Dataset, name: str) -> int:
    value = data.get(_TAGS[name])
    return int(value.value or 0) if value is not None else 0
