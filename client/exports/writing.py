"""An export as a file: CSV, or a MONAI datalist; there whole or not at all, for its owner alone."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from client.exports.tables import BETWEEN, Row
from protocol.study import Study

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_csv(what: str, study: Study, rows: Sequence[Row]) -> str:
    """A header and a line for each row; a comment that a spreadsheet would run is quoted."""
    text = io.StringIO()
    columns = list(rows[0]) if rows else ["case"]
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: _cell(v) for k, v in row.items()} for row in rows)
    return text.getvalue()


def as_datalist(what: str, study: Study, rows: Sequence[Row]) -> str:
    """MONAI's datalist: audit labels under `test`, everything else under `training`.

    `image` is the case's file or files where they were asked for, else its key; `label` is the
    class by number, or 0 and 1 for each class in a multi-label task.
    """
    numbers = {name: number for number, name in enumerate(study.task.names)}
    parts: dict[str, list[Any]] = {"training": [], "test": []}
    for row in rows:
        item = {"image": _image(row), **{k: v for k, v in row.items() if k != "files"}}
        chosen = [
            numbers[n] for n in str(row.get("label", row.get("value", ""))).split(BETWEEN) if n
        ]
        item.pop("label", None)
        if study.task.multi_label and _labelled(row):
            item["label"] = [int(i in chosen) for i in range(len(numbers))]
        elif chosen:
            item["label"] = chosen[0]
        parts["test" if row.get("part") == "audit" else "training"].append(item)
    document = {
        "format": 1,
        "what": what,
        "study": study.identity,
        "labels": {str(number): name for name, number in numbers.items()},
        **parts,
    }
    return json.dumps(document, indent=1) + "\n"


WRITERS: Mapping[str, Callable[[str, Study, Sequence[Row]], str]] = {
    ".csv": as_csv,
    ".json": as_datalist,
}


def writer_of(out: Path) -> Callable[[str, Study, Sequence[Row]], str]:
    """How a file of that name is written.

    Raises:
        ValueError: by its name it is neither CSV nor JSON, or its folder is not there.
    """
    writer = WRITERS.get(out.suffix.lower())
    if writer is None:
        raise ValueError(f"--out {out}: accepted is a name that ends in .csv or .json")
    if not out.absolute().parent.is_dir():
        raise ValueError(f"--out {out}: its folder is not there; accepted is one that is")
    return writer


def put(out: Path, text: str) -> None:
    """Write it in the place of what was there, readable by its owner alone (0600)."""
    fresh = out.with_name(f".{out.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, out)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        return BETWEEN.join(value)
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value


def _image(row: Row) -> Any:
    files = row.get("files") or [row["case"]]
    return files[0] if len(files) == 1 else files


def _labelled(row: Row) -> bool:
    """Whether a multi-label row says anything, be it that no class is there."""
    return row.get("answer") == "answered" or row.get("settled") == "yes"
