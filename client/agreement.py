"""How far a site's readers agree with each other and with themselves. Nothing of it leaves.

It tells the site's admin about the quality of labels, and where a definition is unclear; it is no
ranking of people. Every number rests on whole steps of five cases: from the difference of two looks
nobody reads what was answered to the case between them.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from client.store.store import SiteStore
from protocol.records import Reading
from protocol.study import Study
from strategies.agreement import (
    Answers,
    Estimate,
    answers,
    cohen,
    fleiss,
    gwet,
    krippendorff,
    percent,
    tables,
)
from strategies.consensus.dawid_skene import Fit, fit, fit_classes

LEAST = 10
"""Cases under which a number says little; they are marked."""

STEP = 5
"""Cases by which what a number rests on grows; of fewer nothing is told."""


@dataclass(frozen=True, slots=True)
class Found:
    """Agreement on one question.

    Attributes:
        readers: whose; one reader where it is about their own repeats, none for all together.
        question: a class of a multi-label task; "" where one of all classes is chosen.
        measures: by name.
    """

    readers: tuple[str, ...]
    question: str
    measures: Mapping[str, Estimate]

    @property
    def cases(self) -> int:
        """That it rests on."""
        return max((m.cases for m in self.measures.values()), default=0)


@dataclass(frozen=True, slots=True)
class Confusion:
    """How one reader errs, as Dawid and Skene's model has it.

    Attributes:
        names: of rows, the truth, and columns, the answer.
        share: (names, names); rows sum to 1.
    """

    reader: str
    question: str
    names: tuple[str, ...]
    share: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Agreement:
    """All of a study's agreement at this site.

    Attributes:
        double: cases that two readers or more chose a class for, in whole steps.
        between: all readers together.
        pairs: every two of them.
        own: each reader with themselves, from cases that came back to them.
        confusions: of every reader, where there are double readings.
    """

    study: Study
    double: int
    between: Sequence[Found]
    pairs: Sequence[Found]
    own: Sequence[Found]
    confusions: Sequence[Confusion]

    @property
    def empty(self) -> bool:
        """Whether too little was read twice."""
        return not self.double and not self.own


def agreement(store: SiteStore, study: Study) -> Agreement:
    """From every first answer and every repeat; adjudicators had seen answers and are left out."""
    every = store.labels.chosen(study.identity)
    readings = _stepped(every)
    found = _tables(study, readings)
    double = max((len(table.shared.category) for table in found), default=0)
    return Agreement(
        study,
        double,
        tuple(_between(study, found)) if double else (),
        tuple(_pairs(study, every)),
        tuple(_own(store, study)),
        tuple(_confusions(study, readings)) if double else (),
    )


def plain(told: Agreement) -> dict[str, Any]:
    """As JSON types; what is not estimable is null."""
    return {
        "study": told.study.identity,
        "name": told.study.name,
        "double": told.double,
        "between": [_plain(found) for found in told.between],
        "pairs": [_plain(found) for found in told.pairs],
        "own": [_plain(found) for found in told.own],
        "confusions": [
            {
                "reader": c.reader,
                "question": c.question,
                "names": list(c.names),
                "share": [[round(v, 4) for v in row] for row in c.share],
            }
            for c in told.confusions
        ],
    }


def _stepped(readings: Sequence[Reading]) -> Sequence[Reading]:
    """The readings up to that which made the cases read twice a whole number of steps."""
    readers: dict[str, set[str]] = defaultdict(set)
    twice = end = 0
    for number, reading in enumerate(readings, 1):
        there = readers[reading.case]
        before = len(there)
        there.add(reading.reader)
        if (before, len(there)) == (1, 2):
            twice += 1
            end = end if twice % STEP else number
    return readings[:end]


def _tables(study: Study, readings: Sequence[Reading]) -> tuple[Answers, ...]:
    return answers(readings, len(study.task.classes), multi_label=study.task.multi_label)


def _questions(study: Study, every: Sequence[Answers]) -> Iterator[tuple[str, Answers]]:
    names = study.task.names if study.task.multi_label else ("",)
    return iter(zip(names, every, strict=True))


def _measured(
    readers: tuple[str, ...],
    question: str,
    table: Answers,
    measures: Mapping[str, Callable[[Answers], Estimate]],
) -> Found:
    return Found(readers, question, {name: measure(table) for name, measure in measures.items()})


def _between(study: Study, every: Sequence[Answers]) -> Iterator[Found]:
    def alpha(table: Answers) -> Estimate:
        return krippendorff(table, np.random.default_rng(study.seed))

    measures = {"percent": percent, "alpha": alpha, "fleiss": fleiss, "ac1": gwet}
    for question, table in _questions(study, every):
        yield _measured((), question, table, measures)


_TWO: Mapping[str, Callable[[Answers], Estimate]] = {
    "percent": percent,
    "kappa": cohen,
    "ac1": gwet,
}


def _pairs(study: Study, readings: Sequence[Reading]) -> Iterator[Found]:
    for two in combinations(sorted({r.reader for r in readings}), 2):
        stepped = _stepped([r for r in readings if r.reader in two])
        if stepped:
            for question, table in _questions(study, _tables(study, stepped)):
                yield _measured(two, question, table.pair(0, 1), _TWO)


def _own(store: SiteStore, study: Study) -> Iterator[Found]:
    twice = store.repeats.twice(study.identity)
    for reader in sorted({pair.reader for pair in twice}):
        both = [(p.first, p.second) for p in twice if p.reader == reader]
        values = np.array(both[: len(both) // STEP * STEP])
        if not len(values):
            continue
        every = tables(values, ("first", "again"), multi_label=study.task.multi_label)
        for question, table in _questions(study, every):
            yield _measured((reader,), question, table, _TWO)


def _confusions(study: Study, readings: Sequence[Reading]) -> Iterator[Confusion]:
    if study.task.multi_label:
        fits: Sequence[Fit] = fit_classes(readings)
    else:
        fits = (fit(readings),)
    for question, one in zip(
        study.task.names if study.task.multi_label else ("",), fits, strict=True
    ):
        names = (f"no {question}", question) if question else study.task.names
        for reader, share in sorted(zip(one.readers, one.confusion, strict=True)):
            yield Confusion(reader, question, names, tuple(map(tuple, share.tolist())))


def _plain(found: Found) -> dict[str, Any]:
    return {
        "readers": list(found.readers),
        "question": found.question,
        "cases": found.cases,
        "few": found.cases < LEAST,
        "measures": {
            name: {"value": _number(m.value), "low": _number(m.low), "high": _number(m.high)}
            for name, m in found.measures.items()
        },
    }


def _number(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None
