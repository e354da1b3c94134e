"""Cases from a CSV beside PNG and JPEG files.

Columns: `case_id`, `path`, `patient_id`, `split`, `label`, `site`; all but `path` optional. Other
columns are refused, since a misspelt `patient_id` would silently put one patient in two sets.

* `path` is relative to the CSV, uses `/`, and stays inside the CSV's folder.
* `case_id` is the path where there is no such column.
* `split` is pool (or train), val or test; without the column every case is in the pool.
* `label` is a class name or number; in a multi-label task any number of them separated by `|`,
  and an empty cell means none of the classes. A column with no entry at all means no labels.
* Images become gray or RGB as the study says. They must all be of one size; where that is not the
  study's they are resized to it (Lanczos, the aspect ratio follows the study). Colour images
  become gray by luminance. More than 8 bits per channel are refused: no window is guessed.
"""

from __future__ import annotations

import csv
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from client.cases.cases import Cases, CasesError, Split, admit
from protocol.sections import Task

COLUMNS = ("case_id", "path", "patient_id", "split", "label", "site")
_SPLIT_WORDS: Mapping[str, Split] = {"pool": "pool", "train": "pool", "val": "val", "test": "test"}
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
_UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    Image.DecompressionBombError,
)

Table: TypeAlias = Mapping[str, Sequence[str]]


def load_folder(path: Path, task: Task) -> Cases:
    """The cases that a CSV lists; see this module's docstring for its columns.

    Raises:
        CasesError: the CSV or an image is refused; rows are named by number, the header is row 1.
    """
    table = table_of(path)
    files = files_of(table["path"], path)
    keys = filled(table, "case_id", path.name) or tuple(table["path"])
    _refuse_twice(keys, "case_id", path.name)
    patients = filled(table, "patient_id", path.name)
    cases = Cases(
        keys=keys,
        patients=patients or keys,
        clustered=patients is not None,
        splits=splits_of(table, path.name),
        sites=filled(table, "site", path.name),
        targets=_targets(table, task, path.name),
        images=_images(files, task, path.name),
    )
    return admit(cases, path.name)


def table_of(path: Path) -> Table:
    """The CSV by column, cells stripped of spaces around them."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file, strict=True))
    except OSError as error:
        raise CasesError(f"{path.name}: cannot be read ({error.strerror})") from None
    except (UnicodeDecodeError, csv.Error):
        raise CasesError(f"{path.name}: not a CSV file in UTF-8") from None
    while lines and not lines[-1]:
        lines.pop()
    header, *rows = lines or [[]]
    header = _header(header, path.name)
    if not rows:
        raise CasesError(f"{path.name}: the pool is empty; accepted is at least one row")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise CasesError(
                f"{path.name}: row {number} has {len(row)} cells; "
                f"accepted is {len(header)}, as in row 1"
            )
    return {name: [row[i].strip() for row in rows] for i, name in enumerate(header)}


def _header(cells: Sequence[str], file: str) -> list[str]:
    """The column names. A refusal does not repeat them: the row may be a case, not a header."""
    header = [name.strip() for name in cells]
    accepted = f"accepted are {', '.join(COLUMNS)}, each once"
    for i, name in enumerate(header):
        if name not in COLUMNS or name in header[:i]:
            raise CasesError(f"{file}: column {i + 1} is unknown or there twice; {accepted}")
    if "path" not in header:
        raise CasesError(f"{file}: the column path is missing; {accepted}")
    return header


def filled(table: Table, column: str, file: str) -> tuple[str, ...] | None:
    """An optional column without an empty cell, or None where the CSV has no such column."""
    if column not in table:
        return None
    if "" in table[column]:
        raise CasesError(
            f"{file}: row {list(table[column]).index('') + 2} has no {column}; "
            "accepted is a value in every row, or no such column"
        )
    return tuple(table[column])


def _refuse_twice(values: Sequence[object], what: str, file: str) -> None:
    """Refuse a value that is there twice, by the numbers of its first two rows."""
    first: dict[object, int] = {}
    for number, value in enumerate(values, start=2):
        if value in first:
            raise CasesError(
                f"{file}: rows {first[value]} and {number} have the same {what}; "
                "accepted is one row each"
            )
        first[value] = number


def files_of(paths: Sequence[str], source: Path) -> list[Path]:
    """The image files, each inside the CSV's folder, links followed."""
    root = source.parent.resolve()
    files: list[Path] = []
    for number, text in enumerate(paths, start=2):
        file = inside(root, text)
        if file is None:
            raise CasesError(
                f"{source.name}: row {number} has a path outside the CSV's folder or none; "
                "accepted is a relative path inside it"
            )
        files.append(file)
    _refuse_twice(files, "path", source.name)
    return files


def inside(root: Path, text: str) -> Path | None:
    """The file a relative path means, or None where it leaves the folder."""
    if not text or "\0" in text or PurePosixPath(text).is_absolute():
        return None
    try:
        file = (root / text).resolve()
    except (OSError, RuntimeError):  # a loop of links
        return None
    return file if file.is_relative_to(root) else None


def splits_of(table: Table, file: str) -> tuple[Split, ...]:
    """Every row's split; the pool where the CSV has no such column."""
    words = table.get("split", ["pool"] * len(table["path"]))
    splits: list[Split] = []
    for number, word in enumerate(words, start=2):
        split = _SPLIT_WORDS.get(word)
        if split is None:
            raise CasesError(
                f"{file}: row {number} has an unknown split; accepted is pool, train, val or test"
            )
        splits.append(split)
    return tuple(splits)


def _targets(table: Table, task: Task, file: str) -> NDArray[np.uint8] | None:
    """(n, classes) of 0 and 1, or None where the CSV has no labels."""
    cells = table.get("label", ())
    if not any(cells):
        return None
    numbers = {str(i): i for i in range(len(task.classes))}
    numbers |= {name: i for i, name in enumerate(task.names)}
    targets = np.zeros((len(cells), len(task.classes)), np.uint8)
    for row, cell in enumerate(cells):
        words = [cell] if not task.multi_label else [w.strip() for w in cell.split("|") if cell]
        if any(word not in numbers for word in words):
            several = ", several separated by |" if task.multi_label else ""
            raise CasesError(
                f"{file}: row {row + 2} has an unknown label; accepted is one of "
                f"{', '.join(task.names)} or 0 to {len(task.classes) - 1}{several}"
            )
        targets[row, [numbers[word] for word in words]] = 1
    return targets


def _images(files: Sequence[Path], task: Task, file: str) -> NDArray[np.uint8]:
    """(n, channels, height, width), resized where all are of one other size."""
    channels, height, width = task.image
    images = np.empty((len(files), channels, height, width), np.uint8)
    size: tuple[int, int] | None = None
    for i, path in enumerate(files):
        image = _image(path, channels, f"{file}: row {i + 2}")
        size = size or image.size
        if image.size != size:
            raise CasesError(
                f"{file}: row {i + 2} is {image.height} x {image.width}, the first image is "
                f"{size[1]} x {size[0]}; accepted is one size for all"
            )
        if size != (width, height):
            image = image.resize((width, height), Image.Resampling.LANCZOS)
        images[i] = np.asarray(image).reshape(height, width, channels).transpose(2, 0, 1)
    return images


def _image(path: Path, channels: int, where: str) -> Image.Image:
    """One upright image, gray or RGB."""
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as file:
            if file.mode not in _MODES:
                raise CasesError(
                    f"{where} has more than 8 bits per channel; accepted are 8-bit files"
                )
            return ImageOps.exif_transpose(file).convert("L" if channels == 1 else "RGB")
    except CasesError:
        raise
    except _UNREADABLE:
        raise CasesError(
            f"{where} is no readable image; accepted are whole PNG and JPEG files"
        ) from None
