"""Cases from a folder of DICOM files, however deep, grouped by study and series."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

from client.sources.decoder import Decoder
from client.sources.dicom_rules import case_name, facts, patient_of, refusal
from client.sources.source import Find, Passed, PixelTrouble, SourceError

Header: TypeAlias = Mapping[str, Any]

_BATCH = 64


def _silent(files: int) -> None:
    """Tells nobody."""


@dataclass(frozen=True, slots=True)
class DicomFolder:
    """A folder of DICOM files. Files are told by what is in them, not by their names.

    Attributes:
        root: the folder.
        decoder: reads the headers.
        allowed: words of `dicom_rules.ALLOWANCES`.
        seen: is told now and then how many files were looked at.
    """

    root: Path
    decoder: Decoder
    allowed: frozenset[str] = frozenset()
    seen: Callable[[int], None] = field(default=_silent)

    def finds(self) -> Iterator[Find | Passed]:
        """Every case in the order of its name, and what was passed over.

        Raises:
            SourceError: the folder cannot be listed.
        """
        cases: dict[str, list[tuple[str, Header]]] = defaultdict(list)
        passed: dict[str, int] = defaultdict(int)
        for name, header in self._headers():
            if reason := refusal(header, self.allowed):
                passed[reason] += 1
            else:
                cases[case_name(header)].append((name, header))
        yield from (Passed(reason, count=count) for reason, count in sorted(passed.items()))
        for name in sorted(cases):
            yield from grouped(name, cases[name], {"kind": "dicom", "root": str(self.root)})

    def _headers(self) -> Iterator[tuple[str, Header]]:
        names, seen = files_under(self.root), 0
        while batch := list(islice(names, _BATCH)):
            yield from zip(batch, self._asked(batch), strict=True)
            seen += len(batch)
            self.seen(seen)

    def _asked(self, batch: Sequence[str]) -> list[Header]:
        """Headers of these files; a file that kills the child is found by asking one by one."""
        try:
            paths = [str(self.root / name) for name in batch]
            answer, _ = self.decoder.ask({"op": "headers", "paths": paths}, files=len(batch))
        except PixelTrouble:
            if len(batch) == 1:
                return [{"trouble": "a file that cannot be read"}]
            return [header for name in batch for header in self._asked([name])]
        headers: list[Header] = answer["headers"]
        return headers


def files_under(root: Path) -> Iterator[str]:
    """Paths relative to the folder, in a fixed order; links are not followed.

    Raises:
        SourceError: the folder cannot be listed.
    """

    def stop(error: OSError) -> None:
        raise SourceError(f"a folder of the source cannot be listed ({error.strerror})")

    for folder, inner, names in os.walk(root, onerror=stop):
        inner.sort()
        for name in sorted(names):
            path = os.path.join(folder, name)
            if os.path.isfile(path) and not os.path.islink(path):
                yield os.path.relpath(path, root)


def grouped(
    name: str, members: Sequence[tuple[str, Header]], place: Mapping[str, str]
) -> Iterator[Find | Passed]:
    """One case of the objects that carry its name, or why it is none.

    Args:
        members: the file, or what else finds it again, and the header of each object.
        place: what its locator begins with.
    """
    once = {header["SOPInstanceUID"]: (file, header) for file, header in reversed(members)}
    if more := len(members) - len(once):
        yield Passed("the same instance a second time", count=more)
    kept = list(once.values())
    if len({patient_of(header) for _, header in kept}) > 1:
        yield Passed("one series under several patients", name)
        return
    if len({(header["Rows"], header["Columns"]) for _, header in kept}) > 1:
        yield Passed("slices of several sizes in one series", name)
        return
    kept.sort(key=_order([header for _, header in kept]))
    files = [[file, header["SOPInstanceUID"], header["Frames"]] for file, header in kept]
    first = kept[0][1]
    yield Find(
        name=name,
        patient=patient_of(first),
        locator={**place, "files": files},
        instances=sorted(once),
        named=bool(first["PatientID"]),
        facts=facts(first),
    )


def _order(headers: Sequence[Header]) -> Callable[[tuple[str, Header]], tuple[Any, ...]]:
    """By place along the common normal where all tell it, else by instance number."""
    normals = {_normal(header) for header in headers}
    normal = next(iter(normals)) if len(normals) == 1 else None

    def key(member: tuple[str, Header]) -> tuple[Any, ...]:
        header = member[1]
        along = 0.0
        if normal is not None:
            along = sum(a * b for a, b in zip(normal, header["Position"], strict=True))
        return (round(along, 3), header["InstanceNumber"], header["SOPInstanceUID"])

    return key


def _normal(header: Header) -> tuple[float, ...] | None:
    """The direction in which slices follow one another, rounded; None where it is not told."""
    if not header["Position"] or not header["Orientation"]:
        return None
    a, b, c, d, e, f = header["Orientation"]
    return tuple(round(v, 2) for v in (b * f - c * e, c * d - a * f, a * e - b * d))
