"""What several readers said of the same cases, as one table of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocol.records import Indices, Reading

MISSING = -1


@dataclass(frozen=True, slots=True)
class Answers:
    """n cases, r readers, q categories.

    Attributes:
        category: (n, r) from 0 to q - 1; -1 where a reader said nothing of a case.
        categories: q, also those that nobody chose.
        readers: (r,) names, for whoever may see them.
    """

    category: Indices
    categories: int
    readers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what is no such table."""
        if self.category.ndim != 2 or self.categories < 1:
            raise ValueError(
                f"answers of shape {self.category.shape} in {self.categories} categories: "
                "accepted are cases x readers, and at least one category"
            )
        if self.category.size and not (
            self.category.min() >= MISSING and self.category.max() < self.categories
        ):
            raise ValueError(
                f"answers from {self.category.min()} to {self.category.max()}: accepted are "
                f"0 to {self.categories - 1}, and -1 where there is none"
            )

    @property
    def counts(self) -> NDArray[np.float64]:
        """(n, q) how many readers put a case into a category."""
        return np.stack(
            [(self.category == q).sum(axis=1) for q in range(self.categories)], axis=1
        ).astype(np.float64)

    @property
    def shared(self) -> Answers:
        """The cases with two answers or more."""
        there = (self.category != MISSING).sum(axis=1) >= 2
        return Answers(self.category[there], self.categories, self.readers)

    def pair(self, first: int, second: int) -> Answers:
        """Two readers' answers to the cases that both answered."""
        both = self.category[:, [first, second]]
        names = (self.readers[first], self.readers[second]) if self.readers else ()
        return Answers(both[(both != MISSING).all(axis=1)], self.categories, names)


def answers(readings: Sequence[Reading], classes: int, *, multi_label: bool) -> tuple[Answers, ...]:
    """First answers as tables: one of a single-label task, in a multi-label task one per class.

    Adjudicating answers are no part of it, since who gave them had seen the others; "unsure" and
    "unreadable" choose no category and are missing. Of a reader's several answers to a case the
    last counts.
    """
    kept = [r for r in readings if r.answer == "answered" and not r.adjudicating]
    cases = {case: i for i, case in enumerate(sorted({r.case for r in kept}))}
    names = tuple(sorted({r.reader for r in kept}))
    column = {name: i for i, name in enumerate(names)}
    values = np.full((len(cases), len(names), classes), MISSING, dtype=np.int64)
    for reading in kept:
        values[cases[reading.case], column[reading.reader]] = reading.value
    return tables(values, names, multi_label=multi_label)


def tables(values: Indices, names: tuple[str, ...], *, multi_label: bool) -> tuple[Answers, ...]:
    """Tables of (n, r, classes) values of 0 and 1, -1 in every class where there is no answer."""
    if multi_label:
        return tuple(Answers(values[:, :, c], 2, names) for c in range(values.shape[2]))
    said = (values != MISSING).all(axis=2)
    chosen = np.where(said, values.argmax(axis=2), MISSING).astype(np.int64)
    return (Answers(chosen, values.shape[2], names),)
