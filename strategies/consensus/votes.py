"""The readings that count, as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from protocol.records import Indices, Label, Reading


@dataclass(frozen=True, slots=True)
class Votes:
    """m answers of r readers to n cases; one answer per case and reader.

    Attributes:
        cases: (n,) keys in sorted order.
        readers: (r,) names in order of first appearance.
        case: (m,) row of each answer's case, ascending.
        reader: (m,) row of its reader.
        value: (m, classes) of 0 and 1.
        final: answer of each adjudicated case, of 0 and 1, by row.
    """

    cases: tuple[str, ...]
    readers: tuple[str, ...]
    case: Indices
    reader: Indices
    value: NDArray[np.float64]
    final: Mapping[int, tuple[int, ...]]

    @property
    def counts(self) -> Indices:
        """(n,) answers per case, each at least 1."""
        return np.bincount(self.case, minlength=len(self.cases)).astype(np.int64)

    @property
    def shares(self) -> NDArray[np.float64]:
        """(n, classes) share of a case's answers that name the class."""
        sums = [np.bincount(self.case, v, len(self.cases)) for v in self.value.T]
        return np.stack(sums, axis=1) / self.counts[:, None]

    def labels(self, targets: NDArray[np.float64]) -> dict[str, Label]:
        """Labels by case key; those of adjudicated cases are the adjudicator's answers.

        Args:
            targets: (n, classes), in [0, 1].
        """
        if self.final:
            targets = targets.copy()
        for row, value in self.final.items():
            targets[row] = value
        rows = zip(self.cases, targets.tolist(), self.counts.tolist(), strict=True)
        return {case: Label(case, tuple(target), count) for case, target, count in rows}


def votes(readings: Sequence[Reading], *, multi_label: bool) -> Votes | None:
    """The answers that count; None where there are none.

    Raises:
        ValueError: see `Consensus.settle`. The sentence names no case and no reader.
    """
    latest = _latest(readings)
    if not latest:
        return None
    cases = sorted({case for case, _ in latest})
    readers = list(dict.fromkeys(reader for _, reader in latest))
    row = {c: i for i, c in enumerate(cases)}
    column = {r: i for i, r in enumerate(readers)}
    case = np.fromiter((row[c] for c, _ in latest), np.int64, len(latest))
    reader = np.fromiter((column[r] for _, r in latest), np.int64, len(latest))
    value = _values([r.value for r in latest.values()], multi_label)
    order = np.argsort(case, kind="stable")
    final = {row[case]: answer for case, answer in _adjudicated(latest.values()).items()}
    return Votes(tuple(cases), tuple(readers), case[order], reader[order], value[order], final)


def _adjudicated(latest: Iterable[Reading]) -> dict[str, tuple[int, ...]]:
    """The latest adjudicating answer of each case that has one."""
    found: dict[str, Reading] = {}
    for reading in latest:
        if reading.adjudicating:
            before = found.get(reading.case)
            if before is None or _time(before.at) <= _time(reading.at):
                found[reading.case] = reading
    return {case: reading.value for case, reading in found.items()}


def _latest(readings: Sequence[Reading]) -> dict[tuple[str, str], Reading]:
    """The latest answered reading of every case and reader; of equal times the later in the row."""
    latest: dict[tuple[str, str], Reading] = {}
    for reading in readings:
        if reading.answer == "answered":
            key = reading.case, reading.reader
            before = latest.get(key)
            if before is None or _time(before.at) <= _time(reading.at):
                latest[key] = reading
    return latest


def _time(at: str) -> datetime:
    """A reading's time; one without an offset is UTC."""
    try:
        time = datetime.fromisoformat(at)
    except ValueError:
        raise ValueError(f"a reading was made at {at!r}: accepted is ISO 8601") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _values(rows: Sequence[tuple[int, ...]], multi_label: bool) -> NDArray[np.float64]:
    """(m, classes) of 0.0 and 1.0, refused where a row does not fit the task."""
    lengths = {len(r) for r in rows}
    if len(lengths) > 1 or 0 in lengths:
        raise ValueError(
            f"answered readings hold {', '.join(map(str, sorted(lengths)))} values: "
            "accepted is one per class, the same number in all"
        )
    values = np.fromiter(chain.from_iterable(rows), np.float64).reshape(len(rows), -1)
    if not ((values == 0) | (values == 1)).all():
        raise ValueError("an answered reading holds other values than 0 and 1: accepted are those")
    ones = values.sum(axis=1)
    if not multi_label and (ones != 1).any():
        wrong = int(ones[ones != 1][0])
        raise ValueError(
            f"an answered reading chooses {wrong} of {values.shape[1]} classes: "
            "accepted is exactly one in a single-label task"
        )
    return values
