"""Rows of a file of labels made elsewhere, as far as they can be understood."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, cast, get_args

from client.sources.labels import Labels
from protocol.records import Answer
from protocol.study import Study

LARGEST = 64 * 2**20
"""Bytes of such a file."""

NO_CASE, NO_LABEL, STRANGE = "without a case key", "without a label", "a label of no class here"
OTHER_READER = "an answer of another reader"
NOT_FIRST = "taken back, or no reader's first answer"
_REASONS = ("quality", "wrong body part", "text in the image", "other")


@dataclass(frozen=True, slots=True)
class Told:
    """What a row says about a case.

    Attributes:
        case: its key.
        wrong: why the row cannot be taken; "" if it can.
        seconds: active ones; None where the row says nothing.
    """

    case: str
    wrong: str = ""
    answer: Answer = "answered"
    value: tuple[int, ...] = ()
    seconds: float | None = None
    confidence: int | None = None
    reason: str = ""
    comment: str = ""


def told(file: Path, study: Study, reader: str) -> tuple[str, list[Told]]:
    """The file's hash (64 hex digits), and what each row says.

    Raises:
        ValueError: it is no CSV with a column `case`, and no datalist.
    """
    try:
        if file.stat().st_size > LARGEST:
            raise ValueError(f"{file.name}: accepted are files of {LARGEST >> 20} MiB or less")
        block = file.read_bytes()
    except OSError as error:
        raise ValueError(f"{file.name}: cannot be read ({error.strerror})") from None
    try:
        text = block.decode("utf-8-sig")
        rows = list(_items(text) if file.suffix.lower() == ".json" else _lines(text))
    except (UnicodeDecodeError, csv.Error, KeyError, TypeError, ValueError):
        raise ValueError(
            f"{file.name}: accepted is a CSV with the columns case and label, or a datalist (.json)"
        ) from None
    labels = Labels(study.task.names, study.task.multi_label)
    return sha256(block).hexdigest(), [_row(row, labels, reader) for row in rows]


def _lines(text: str) -> Iterator[Mapping[str, Any]]:
    lines = csv.DictReader(text.splitlines())
    if "case" not in (lines.fieldnames or ()):
        raise ValueError("no column case")
    for line in lines:
        yield {key: value for key, value in line.items() if key and value is not None}


def _items(text: str) -> Iterator[Mapping[str, Any]]:
    document = json.loads(text)
    for part in ("training", "validation", "test"):
        for item in document.get(part, ()):
            yield {"case": item.get("image"), **item}


def _row(row: Mapping[str, Any], labels: Labels, reader: str) -> Told:
    case = str(row.get("case") or "").strip()
    if not case:
        return Told("", NO_CASE)
    if row.get("reader") not in (None, "", reader):
        return Told(case, OTHER_READER)
    if row.get("withdrawn") or row.get("adjudicating") or row.get("stage", "blind") != "blind":
        return Told(case, NOT_FIRST)
    answer = str(row.get("answer") or "answered")
    if answer not in get_args(Answer):
        return Told(case, STRANGE)
    value, wrong = _value(row, labels, answer)
    reason = str(row.get("reason") or "") if answer == "unreadable" else ""
    return Told(
        case,
        wrong,
        cast(Answer, answer),
        value,
        _number(row.get("seconds"), 3600.0),
        _confidence(row.get("confidence")),
        reason if reason in _REASONS or answer != "unreadable" else "other",
        _unquoted(str(row.get("comment") or ""))[:2000],
    )


def _value(row: Mapping[str, Any], labels: Labels, answer: str) -> tuple[tuple[int, ...], str]:
    """0 and 1 for each class, and what is wrong with them."""
    if answer != "answered":
        return (), ""
    label = row.get("label", row.get("value"))
    if label in (None, ""):
        none_of_them = labels.multi_label and (row.get("answer") or row.get("settled"))
        return ((0,) * len(labels.classes), "") if none_of_them else ((), NO_LABEL)
    value = labels.answer(label)
    return value, "" if value else STRANGE


def _number(said: Any, most: float) -> float | None:
    try:
        found = float(said)
    except (TypeError, ValueError):
        return None
    return min(found, most) if found >= 0 else None  # also where it is no number


def _confidence(said: Any) -> int | None:
    found = _number(said, 9.0)
    return int(found) if found in (1.0, 2.0, 3.0, 4.0, 5.0) else None


def _unquoted(comment: str) -> str:
    """Without the sign with which an export keeps spreadsheets from running a comment."""
    return comment[1:] if comment[:2] in ("'=", "'+", "'-", "'@") else comment
