"""Cases from NIfTI-1 and NIfTI-2 volumes: a folder of .nii and .nii.gz, however deep.

NIfTI names no patient: a folder or file name part `sub-...` (BIDS) does; else each file counts as a
patient of its own. A volume is shown in axial slices from foot to head, as radiologists look at it:
the patient's right at the left edge, anterior at the top. Of several volumes over time, the first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.images import Geometry
from client.sources.dicom_folder import files_under
from client.sources.source import Find, Frame, Frames, Locator, Passed, PixelTrouble

SUFFIXES = (".nii", ".nii.gz")
_SUBJECT = re.compile(r"(?:^|[/_])(sub-[A-Za-z0-9]+)")


@dataclass(frozen=True, slots=True)
class NiftiFolder:
    """A folder of NIfTI volumes; each file is a case.

    Attributes:
        root: the folder.
    """

    root: Path

    def finds(self) -> Iterator[Find | Passed]:
        """Every volume in the order of its path, and how many other files were passed over.

        Raises:
            SourceError: the folder cannot be listed.
        """
        others = 0
        for name in files_under(self.root):
            if name.endswith(SUFFIXES):
                subject = _SUBJECT.search(name)
                patient = subject.group(1) if subject else name
                yield volume_find(self.root, name, patient, named=subject is not None)
            else:
                others += 1
        if others:
            yield Passed("no NIfTI file", count=others)


def volume_find(root: Path, name: str, patient: str, *, named: bool) -> Find:
    """The find of one NIfTI file; what it consists of is its content."""
    locator = {"kind": "nifti", "root": str(root), "files": [name]}
    return Find(name, patient, locator, [content(root / name)], named, facts={"modality": "NIfTI"})


def content(path: Path) -> str:
    """SHA-256 (hex) of a file; "" where it cannot be read, which its examination will tell."""
    import hashlib

    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def frames(locator: Locator) -> Frames:
    """The axial slices of a volume. Runs in the decoding child.

    Raises:
        PixelTrouble: not a volume of numbers.
    """
    path = Path(locator["root"]) / locator["files"][0]
    return _volume(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _volume(path: Path, changed: int) -> Frames:
    import nibabel

    image: Any = nibabel.load(path)
    stored = np.asanyarray(image.dataobj.get_unscaled())
    if stored.dtype.kind not in "iufb" or stored.ndim < 2:
        raise PixelTrouble("unreadable")
    stored = stored[:, :, None] if stored.ndim == 2 else stored
    while stored.ndim > 3:
        stored = stored[..., 0]
    if min(stored.shape[:2]) < 2:
        raise PixelTrouble("unreadable")
    slope, intercept = image.dataobj.slope, image.dataobj.inter
    spacing = np.abs(np.asarray(image.header.get_zooms()[:3], dtype=float))
    turned, order = _canonical(stored, _axes(image.affine))
    gaps = [float(spacing[a]) if a < len(spacing) else 0.0 for a in order]

    def read(i: int) -> Frame:
        # from (right to left, posterior to anterior) to rows from the top, right at the left edge
        values = np.ascontiguousarray(turned[::-1, ::-1, i].T)
        return Frame(_native(values), float(slope), float(intercept))

    placed = image.get_sform(coded=True)[1] or image.get_qform(coded=True)[1]
    letters = ("R", "L", "A", "P") if placed else ("", "", "", "")
    geometry = Geometry(spacing=(gaps[2], gaps[1], gaps[0]), directions=letters)
    return Frames(int(turned.shape[2]), read, geometry)


def _axes(affine: NDArray[Any]) -> NDArray[Any]:
    """(3, 2): for each stored axis the axis of the body that it follows, and 1 or -1."""
    from nibabel import orientations

    axes: NDArray[Any] = orientations.io_orientation(affine)  # type: ignore[no-untyped-call]  # untyped in nibabel
    return axes


def _canonical(stored: NDArray[Any], axes: NDArray[Any]) -> tuple[NDArray[Any], list[int]]:
    """A view with axes to the left-right, posterior-anterior, foot-head; and where each came from.

    An affine that does not say is taken as it is.
    """
    if not np.isfinite(axes).all():
        return stored, [0, 1, 2]
    order = [int(np.flatnonzero(axes[:, 0] == wanted)[0]) for wanted in range(3)]
    turned = stored.transpose(order)
    flips = tuple(slice(None, None, int(axes[a, 1])) for a in order)
    return turned[flips], order


def _native(values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype.kind == "b":
        return values.astype(np.uint8)
    return values.astype(values.dtype.newbyteorder("="), copy=False)
