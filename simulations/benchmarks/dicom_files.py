"""DICOM files for the benchmarks: made, of nobody, and the same ones every time.

Pictures look a little like what they stand for: how long a codec takes depends on what it reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SLICES = 100
"""Files of one series."""

_ROOT = "1.2.826.0.1.3680043.8.498.77"
_CT = "1.2.840.10008.5.1.4.1.1.2"
_DX = "1.2.840.10008.5.1.4.1.1.1.1"
_PLAIN = "1.2.840.10008.1.2.1"
SYNTAXES: Mapping[int, str] = {
    0: "1.2.840.10008.1.2.5",  # RLE
    1: "1.2.840.10008.1.2.4.80",  # JPEG-LS
    2: "1.2.840.10008.1.2.4.90",  # JPEG 2000
}
"""Of every ten series these are compressed, by the series' number modulo ten."""


def x_rays(folder: Path, count: int, size: int) -> None:
    """Write that many chest-like pictures of size x size, 12 bits in 16, one case each."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(7)
    picture = _chest(size)
    for number in range(count):
        noise = rng.integers(0, 64, (size, size), dtype=np.uint16)
        spot = np.roll(picture, 17 * number % size, axis=1) // 4
        data = _dataset(f"{_ROOT}.1.{number}", number, 0, size)
        data.SOPClassUID, data.Modality, data.BurnedInAnnotation = _DX, "DX", "NO"
        data.PatientID, data.BitsStored, data.HighBit = f"bench-{number}", 12, 11
        data.WindowCenter, data.WindowWidth = 2048, 4096
        _write(folder / f"{number}.dcm", data, picture // 2 + spot + noise)


def series(folder: Path, files: int, size: int = 128) -> None:
    """Write CT series of `SLICES` files each, three of ten compressed without loss."""
    rng = np.random.default_rng(8)
    body = _chest(size).astype(np.int16)
    for number in range(-(-files // SLICES)):
        inner = folder / f"{number:04d}"
        inner.mkdir(parents=True)
        for place in range(min(SLICES, files - number * SLICES)):
            data = _dataset(f"{_ROOT}.2.{number}", number, place, size)
            data.SOPClassUID, data.Modality, data.BitsStored, data.HighBit = _CT, "CT", 16, 15
            data.PixelRepresentation = 1
            data.RescaleSlope, data.RescaleIntercept = 1, -1024
            noise = rng.integers(-20, 20, (size, size), dtype=np.int16)
            rolled = np.roll(body, place, axis=0) // 2 + noise
            _write(inner / f"{place}.dcm", data, rolled, SYNTAXES.get(number % 10, ""))


def _dataset(study: str, number: int, place: int, size: int) -> Any:
    """What pictures of one series share, and where this one stands in it."""
    from pydicom.dataset import Dataset, FileMetaDataset

    data: Any = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = _PLAIN
    data.SOPInstanceUID = f"{study}.1.{place + 1}"
    data.StudyInstanceUID, data.SeriesInstanceUID = study, f"{study}.1"
    data.PatientID, data.PatientName = f"bench-{number // 2}", "Nobody^Made"
    data.PatientSex, data.PatientAge, data.StudyDate = "O", "050Y", "20240131"
    data.Manufacturer, data.BodyPartExamined = "Made", "CHEST"
    data.Rows = data.Columns = size
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.PixelRepresentation = 16, 0
    data.PixelSpacing, data.InstanceNumber = [0.7, 0.7], place + 1
    data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    data.ImagePositionPatient = [0, 0, 2.5 * place]
    return data


def _write(file: Path, data: Any, pixels: NDArray[Any], syntax: str = "") -> None:
    data.PixelData = np.ascontiguousarray(pixels).tobytes()
    data["PixelData"].VR = "OW"
    if syntax:
        data.compress(syntax, generate_instance_uid=False)
    data.save_as(file, enforce_file_format=True)


def _chest(size: int) -> NDArray[np.uint16]:
    """(size, size) values from 0 to 4,031."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    body = np.exp(-((np.abs(x) / 0.93) ** 7) - (np.abs(y + 0.1) / 1.2) ** 9)
    lungs = sum(
        np.exp(-((np.abs(x - side) / 0.33) ** 4) - (np.abs(y + 0.1) / 0.66) ** 5)
        for side in (-0.44, 0.44)
    )
    ribs = np.maximum(np.sin(16 * (y + 0.45 * np.abs(x) ** 1.6)), 0) ** 3
    shown = 0.75 * body + 0.1 * ribs * body - 0.45 * lungs
    values: NDArray[np.uint16] = (np.clip(shown, 0, 1) * 4031).astype(np.uint16)
    return values
