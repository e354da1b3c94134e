"""Cases from a CSV beside its images: PNG and JPEG, 8 or 16 bits, and NIfTI volumes.

The columns are those of `client/cases/folder.py`; images may be of any size here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps

from client.cases.folder import files_of, filled, table_of
from client.images import Geometry, Window
from client.sources.labels import NO_LABELS, Labels
from client.sources.nifti import SUFFIXES, content, volume_find
from client.sources.source import Find, Frame, Frames, Locator, Passed, PixelTrouble

PICTURES = (".png", ".jpg", ".jpeg")
_EIGHT_BITS = Window(127.5, 255.0)


@dataclass(frozen=True, slots=True)
class PictureTable:
    """A CSV that lists images.

    Attributes:
        path: of the CSV.
        labels: how its labels are read.
    """

    path: Path
    labels: Labels = NO_LABELS

    def finds(self) -> Iterator[Find | Passed]:
        """Every row in order.

        Raises:
            CasesError: the table is refused as a whole; rows are named by number.
        """
        table, source = table_of(self.path), self.path.name
        names = filled(table, "case_id", source) or tuple(table["path"])
        patients = filled(table, "patient_id", source)
        words = table.get("split", [""] * len(names))
        given = table.get("label", ())
        root = self.path.parent.resolve()
        for i, file in enumerate(files_of(table["path"], self.path)):
            placed = self.labels.placed(words[i], given[i] if any(given) else None, names[i])
            if isinstance(placed, Passed):
                yield placed
                continue
            patient = patients[i] if patients else names[i]
            found = file_find(root, file, names[i], patient, named=patients is not None)
            yield found if isinstance(found, Passed) else in_split(found, *placed)


def in_split(find: Find, split: str, answer: tuple[int, ...]) -> Find:
    """The same find in a split, with what is known of it."""
    from dataclasses import replace

    return replace(find, split=split, answer=answer)


def file_find(root: Path, file: Path, name: str, patient: str, *, named: bool) -> Find | Passed:
    """The find of one file under a root, by its suffix.

    Args:
        name: the source's own name for the case.
        patient: the source's name for the patient, where it is `named`.
    """
    inside = str(file.relative_to(root))
    if inside.lower().endswith(SUFFIXES):
        volume = volume_find(root, inside, patient, named=named)
        return Find(name, patient, volume.locator, volume.instances, named, facts=volume.facts)
    if not inside.lower().endswith(PICTURES):
        return Passed("neither PNG, JPEG nor NIfTI", name)
    locator = {"kind": "picture", "root": str(root), "files": [inside]}
    return Find(name, patient, locator, [content(file)], named, facts={"modality": "image"})


def frames(locator: Locator) -> Frames:
    """One upright image, gray or red, green and blue. Runs in the decoding child."""
    with Pillow.open(
        Path(locator["root"]) / locator["files"][0], formats=("PNG", "JPEG")
    ) as picture:
        upright = ImageOps.exif_transpose(picture)
        if upright.mode.startswith("I"):
            values = np.asarray(upright)
            return Frames(1, lambda _: Frame(values), Geometry())
        if upright.mode in ("1", "L", "LA"):
            gray = np.asarray(upright.convert("L"))
            return Frames(1, lambda _: Frame(gray), Geometry(windows=(_EIGHT_BITS,)))
        if upright.mode not in ("P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"):
            raise PixelTrouble("unreadable")
        colour = np.asarray(upright.convert("RGB"))
        return Frames(1, lambda _: Frame(colour), Geometry())
