"""The site's practice set, as its admin makes it: a table of cases and their right answers.

Cases go by the name under which they were imported, or by their key. No sentence here repeats one:
it says the line instead.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from client.audit.chain import note
from client.exports.which import study_named
from client.keys import SiteKey
from client.store.practice_shelf import PracticeCase
from client.store.store import SiteStore

_MOST = 200
"""Characters of the words shown with an answer."""

_LINES = 10_000


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the file.

    Attributes:
        number: in the file, from 1.
        case: as the source names it, or its key.
        classes: names, in no order.
    """

    number: int
    case: str
    classes: tuple[str, ...]
    words: str


def add(store: SiteStore, key: SiteKey, file: Path, study: str = "") -> int:
    """How many cases the set gained or changed: all of the file's, or none.

    Args:
        store: of the site.
        key: its secret.
        file: CSV with the columns case, class (or classes, joined by |) and, if wanted, words.
        study: whose classes are meant, as `study_named` takes it; without one, of all that were
            approved, where these ask for the same classes.

    Raises:
        ValueError: what is wrong with the file, or with a line of it.
    """
    names, multi_label = _classes(store, study)
    lines = list(_lines(file))
    found: list[PracticeCase] = []
    with store.transaction():
        for line in lines:
            case = _case(store, key, line)
            if case is None or not store.practice.free(case):
                raise ValueError(
                    f"line {line.number}: accepted is a case of this site's pool whose patient "
                    "no study has read or opened"
                )
            found.append(PracticeCase(case, _value(line, names, multi_label), line.words))
        if twice := len(found) - len({c.case for c in found}):
            raise ValueError(f"{twice} cases stand there twice; accepted is each case once")
        for one in found:
            store.practice.put(one)
        note(store, "practice", words=f"{len(found)} practice cases added")
    return len(found)


def remove(store: SiteStore, key: SiteKey, file: Path | None) -> int:
    """How many cases left the set: those that the file names, or all of them.

    A patient whose practice cases nobody has answered goes back to the pool; readers know the
    others.

    Raises:
        ValueError: a line names no practice case; nothing is changed then.
    """
    with store.transaction():
        if file is None:
            cases = [c.case for c in store.practice.every()]
        else:
            cases = [_known(store, key, line) for line in _lines(file, classes=False)]
        gone = sum(store.practice.take_away(case) for case in cases)
        note(store, "practice", words=f"{gone} practice cases removed")
    return gone


@dataclass(frozen=True, slots=True)
class Listed:
    """What the set holds, without names.

    Attributes:
        classes: cases of each class name; "none of them" for cases of no class.
    """

    cases: int
    patients: int
    classes: Mapping[str, int]


def listed(store: SiteStore) -> Listed:
    """What the practice set holds."""
    every, counts = store.practice.every(), Counter[str]()
    for case in every:
        counts.update([n for n, v in case.value.items() if v] or ["none of them"])
    ids = np.array([c.case for c in every], dtype=np.int64)
    return Listed(len(every), len(set(store.cases.patients(ids))), dict(sorted(counts.items())))


def _classes(store: SiteStore, study: str) -> tuple[tuple[str, ...], bool]:
    studies = [study_named(store, study)] if study else store.steps.every()
    asked = {(s.task.names, s.task.multi_label) for s in studies}
    if len(asked) != 1:
        there = "none is" if not asked else "they ask for different classes"
        raise ValueError(
            f"which classes are meant, of the studies approved here, is open: {there}; accepted "
            "is --study, a name or the beginning of an identity"
        )
    return asked.pop()


def _lines(file: Path, *, classes: bool = True) -> Iterator[Line]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            table = csv.DictReader(opened)
            column = next((c for c in ("class", "classes") if c in (table.fieldnames or ())), "")
            if "case" not in (table.fieldnames or ()) or (classes and not column):
                raise ValueError(
                    "accepted are the columns case, class (or classes) and, if wanted, words"
                )
            for row in table:
                yield _line(table.line_num, row, column)
    except FileNotFoundError:
        raise ValueError("there is no such file; accepted is a CSV") from None
    except (csv.Error, UnicodeDecodeError, IsADirectoryError):
        raise ValueError("the file cannot be read; accepted is a CSV in UTF-8") from None


def _line(number: int, row: Mapping[str, str | None], column: str) -> Line:
    if number > _LINES:
        raise ValueError(f"more than {_LINES} lines; accepted are fewer")
    case, words = (row.get("case") or "").strip(), (row.get("words") or "").strip()
    if not case or len(words) > _MOST:
        raise ValueError(f"line {number}: accepted is a case, and at most {_MOST} letters of words")
    names = (name.strip() for name in (row.get(column) or "").split("|"))
    return Line(number, case, tuple(name for name in names if name), words)


def _value(line: Line, names: Sequence[str], multi_label: bool) -> dict[str, int]:
    chosen = set(line.classes)
    if not chosen <= set(names) or (len(chosen) != 1 and not multi_label):
        many = "some or none" if multi_label else "one"
        raise ValueError(f"line {line.number}: accepted is {many} of {', '.join(names)}")
    return {name: int(name in chosen) for name in names}


def _case(store: SiteStore, key: SiteKey, line: Line) -> int | None:
    for name in (key.case(line.case), line.case):
        ids = store.cases.ids([name])
        if ids.size:
            return int(ids[0])
    return None


def _known(store: SiteStore, key: SiteKey, line: Line) -> int:
    case = _case(store, key, line)
    if case is None or case not in {c.case for c in store.practice.every()}:
        raise ValueError(f"line {line.number}: accepted is a practice case of this site")
    return case
