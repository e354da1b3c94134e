"""What an import must know of a DICOM file before its pixels. Runs in the decoding child."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

TAGS = (
    "SpecificCharacterSet",
    "SOPInstanceUID",
    "SOPClassUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "PatientID",
    "Modality",
    "BurnedInAnnotation",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "InstanceNumber",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PatientSex",
    "PatientAge",
    "BodyPartExamined",
    "Manufacturer",
    "StudyDate",
)


def headers(paths: Sequence[str]) -> list[dict[str, Any]]:
    """One for each file: what TAGS say as text and numbers, or {"trouble": in our words}."""
    return [_header(path) for path in paths]


def _header(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            data = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(TAGS))
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
        Exception: whatever pydicom raises over values that are none.
    """
    position = [float(v) for v in data.get("ImagePositionPatient") or ()]
    orientation = [float(v) for v in data.get("ImageOrientationPatient") or ()]
    texts = (
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
    return {name: str(data.get(name) or "").strip() for name in texts} | {
        "Rows": _whole(data, "Rows"),
        "Columns": _whole(data, "Columns"),
        "Frames": max(1, _whole(data, "NumberOfFrames")),
        "InstanceNumber": _whole(data, "InstanceNumber"),
        "Position": position if len(position) == 3 else [],
        "Orientation": orientation if len(orientation) == 6 else [],
    }


def _whole(data: Dataset, name: str) -> int:
    value = data.get(name)
    return int(value) if value not in (None, "") else 0
