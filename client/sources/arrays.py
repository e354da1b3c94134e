"""Cases from an `.npz` with MedMNIST's keys, read without pickle; see `client/cases/npz.py`.

Besides uint8, 16-bit numbers are read, and volumes: (n, slices, height, width).
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.cases.npz import FILE_SPLITS, GROUPS
from client.images import Geometry, Window
from client.sources.decoder import Decoder
from client.sources.labels import NO_LABELS, Labels, numbered
from client.sources.nifti import content
from client.sources.source import Find, Frame, Frames, Locator, Passed, PixelTrouble, SourceError


@dataclass(frozen=True, slots=True)
class ArrayFile:
    """An `.npz`; every row of its images is a case.

    Attributes:
        path: of the file.
        decoder: opens it.
        labels: how its labels are read.
    """

    path: Path
    decoder: Decoder
    labels: Labels = NO_LABELS

    def finds(self) -> Iterator[Find | Passed]:
        """Every row of every split in order.

        Raises:
            SourceError: the file is no such npz.
        """
        splits = _told(self.path, self.decoder)
        pin = content(self.path)
        for split, rows in splits.items():
            for i in range(rows["count"]):
                yield self._find(split, i, rows, pin)

    def _find(self, split: str, i: int, rows: dict[str, Any], pin: str) -> Find | Passed:
        name = name_of(self.path, split, i)
        placed = self.labels.placed(split, rows["labels"][i] if rows["labels"] else None, name)
        if isinstance(placed, Passed):
            return placed
        named = bool(rows["patients"])
        return Find(
            name=name,
            patient=rows["patients"][i] if named else name,
            locator={
                "kind": "array",
                "root": str(self.path.parent),
                "files": [self.path.name],
                "member": f"{split}_images",
                "index": i,
            },
            instances=[pin],
            named=named,
            split=placed[0],
            answer=placed[1],
            facts={"modality": "image"},
        )


def _told(path: Path, decoder: Decoder) -> dict[str, Any]:
    try:
        told, _ = decoder.ask({"op": "members", "path": str(path)}, files=60)
    except PixelTrouble:
        raise SourceError(
            f"{path.name}: not a whole npz file with {{train,val,test}}_images, each with as many "
            "labels and patients, or none"
        ) from None
    splits: dict[str, Any] = told["splits"]
    return splits


def name_of(path: Path, split: str, row: int) -> str:
    """The source's own name for a row."""
    return f"{path.name}|{split}-{row:06d}"


def known_answers(
    path: Path, decoder: Decoder, labels: Labels
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The name of every pool row and what its label says; () where it says nothing. To rehearse.

    Raises:
        SourceError: the file is no such npz.
    """
    rows = _told(path, decoder).get("train", {"count": 0, "labels": []})
    for i in range(rows["count"]):
        yield name_of(path, "train", i), labels.answer(rows["labels"][i]) if rows["labels"] else ()


def members(path: str) -> dict[str, Any]:
    """Per split: how many images, their labels, their patients. Runs in the decoding child.

    Raises:
        PixelTrouble: no split has images, or columns differ in length.
    """
    splits: dict[str, Any] = {}
    with zipfile.ZipFile(path) as archive:
        names = {name.removesuffix(".npy") for name in archive.namelist()}
    with np.load(path, allow_pickle=False) as file:
        for split in (s for s in FILE_SPLITS if f"{s}_images" in names):
            count = _length(path, f"{split}_images.npy")
            group = next((f"{split}_{g}" for g in GROUPS if f"{split}_{g}" in names), "")
            labels = file[f"{split}_labels"] if f"{split}_labels" in names else None
            width = labels.shape[1] if labels is not None and labels.ndim == 2 else 1
            splits[split] = {
                "count": count,
                "labels": numbered(labels.tolist(), width) if labels is not None else [],
                "patients": [str(v) for v in file[group].tolist()] if group else [],
            }
            if any(len(splits[split][c]) not in (0, count) for c in ("labels", "patients")):
                raise PixelTrouble("unreadable")
    if not splits:
        raise PixelTrouble("unreadable")
    return {"splits": splits}


def _length(path: str, member: str) -> int:
    """The first axis of an array, from its header alone."""
    with zipfile.ZipFile(path) as archive, archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0
        if version != (1, 0):
            read = np.lib.format.read_array_header_2_0
        shape, _, _ = read(file)
    return int(shape[0])


def frames(locator: Locator) -> Frames:
    """One row as a single image or as a volume. Runs in the decoding child."""
    path = Path(locator["root"]) / locator["files"][0]
    rows = _rows(path, path.stat().st_mtime_ns, str(locator["member"]))
    if not 0 <= locator["index"] < len(rows):
        raise PixelTrouble("changed")
    one = rows[locator["index"]]
    single = one.ndim == 2 or (one.ndim == 3 and one.shape[-1] == 3)
    slices = one[None] if single else one
    windows = (Window(127.5, 255.0),) if one.dtype == np.uint8 else ()
    return Frames(len(slices), lambda i: Frame(slices[i]), Geometry(windows=windows))


@lru_cache(maxsize=3)  # one for each split
def _rows(path: Path, changed: int, member: str) -> NDArray[Any]:
    with np.load(path, allow_pickle=False) as file:
        rows: NDArray[Any] = file[member]
    if rows.ndim not in (3, 4, 5) or rows.dtype.kind not in "iuf":
        raise PixelTrouble("unreadable")
    return rows
