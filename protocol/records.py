"""The nouns of a study: what readers answer, what sites report, what the server decides.

Frozen dataclasses of plain numbers, strings and arrays, without flwr: `protocol/wire.py` turns
those that travel into Flower's records and back. No record that leaves a site holds an image, a
case key or a patient; each says in its docstring what it tells about them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Arrays: TypeAlias = Mapping[str, NDArray[Any]]
Indices: TypeAlias = NDArray[np.int64]
Answer: TypeAlias = Literal["answered", "unsure", "unreadable"]
Purpose: TypeAlias = Literal["query", "explore", "audit"]
Stage: TypeAlias = Literal["blind", "repeat", "after-ai"]

UNCERTAINTY_BINS = 32
"""Equal bins over [0, 1] of the normalised predictive entropy in a site's report."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One physician's answer to one case. Stays at the site.

    Attributes:
        case: the case's key.
        reader: the reader's account name.
        at: when it was committed, UTC, ISO 8601.
        seconds: active seconds spent on it, idle time left out.
        answer: "answered", "unsure" or "unreadable".
        value: (classes,) of 0 and 1, several ones only in a multi-label task; empty unless
            answered.
        adjudicating: given after the readers' own answers were shown, to settle them.
        stage: "blind" is a reader's first answer; "repeat" the same reader's to a case that came
            back unmarked; "after-ai" a changed mind, once the model's opinion was shown.
    """

    case: str
    reader: str
    at: str
    seconds: float
    answer: Answer
    value: tuple[int, ...] = ()
    adjudicating: bool = False
    stage: Stage = "blind"


@dataclass(frozen=True, slots=True)
class Label:
    """What consensus makes of a case's readings. Stays at the site.

    Attributes:
        case: the case's key.
        target: (classes,) probabilities; they sum to 1 in a single-label task.
        readings: how many answered readings it rests on, at least 1.
    """

    case: str
    target: tuple[float, ...]
    readings: int


@dataclass(frozen=True, slots=True)
class StepKey:
    """The identity of one step, the same when it is repeated.

    Attributes:
        study: the study's identity; its first weights are checked when the first cycle begins.
        cycle: from 0.
        step: "hello", "report", "select", "close", "train", "evaluate" or "compare".
        round: from 0 within the cycle; 0 for steps that have no rounds.
        sequence: from 0; a top-up grant takes the next one, and a train step of another model than
            the study's that of `protocol.gain`.
    """

    study: str
    cycle: int
    step: str
    round: int = 0
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class SiteReport:
    """What one site tells before the budget is shared: counts, one histogram, minutes.

    Attributes:
        site: its name.
        pool: cases neither labeled nor waiting for a reader.
        labeled: cases with a training label.
        audit_left: audit cases that nobody has read yet.
        capacity: the largest grant that the site can use this cycle, in the budget's unit.
        seconds_per_reading: mean active seconds of its readings so far; 0 before the first.
        uncertainty: (UNCERTAINTY_BINS,) counts of the pool's normalised entropy, equal bins on
            [0, 1].
        predicted: (classes,) pool cases by predicted class.
        labels: (classes,) training labels by class, rounded consensus.
        kept: (classes, classes) pool cases by class predicted last cycle (row) and now (column);
            in a multi-label task 2 x 2, absent and present, summed over classes. Zeros in the
            first cycle.
        prequential_loss: mean log-loss of the last exploration labels under the model that had not
            seen them; 0 where there are none.
        prequential_count: how many labels that mean is over.
    """

    site: str
    pool: int
    labeled: int
    audit_left: int
    capacity: int
    seconds_per_reading: float
    uncertainty: tuple[int, ...]
    predicted: tuple[int, ...]
    labels: tuple[int, ...]
    kept: tuple[tuple[int, ...], ...]
    prequential_loss: float = 0.0
    prequential_count: int = 0


@dataclass(frozen=True, slots=True)
class Grant:
    """A site's share of one cycle's label budget: a cap, in the budget's unit.

    Attributes:
        count: readings, or whole reader minutes, as the study says.
        reason: why this many, in words, with the statistics used.
        threshold: where the policy sets one: the normalised entropy above which it counted the
            site's cases. A part of the reason, for the ledger; which cases are asked for is the
            query strategy's choice alone.
    """

    count: int
    reason: str
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class SiteProgress:
    """How far a site's readers are with a cycle's grant: counts and rounded totals only.

    Attributes:
        spent: in the budget's unit. spent + returned = granted once the site is done.
        returned: what the site will not use; negative where the unit is minutes and readings took
            longer than expected, since one that has begun is finished: spent exceeds granted by
            at most one reading of each reader.
        readings: answers given, of every purpose.
        minutes: active minutes of those readings.
        waiting: open cases that still want an answer the grant can pay, and those on somebody's
            screen; 0 when the site is done. In the ledger: above 0 where the site was away when
            its cycle closed, and may read on.
    """

    site: str
    spent: int
    returned: int
    readings: int
    minutes: float
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class SiteUpdate:
    """What one site's training made of the global arrays.

    Attributes:
        weight: how much it counts in an average: its training labels.
        loss: mean training loss of the last local epoch; 0 without labels.
        steps: optimizer steps taken.
    """

    site: str
    arrays: Arrays
    weight: float
    loss: float
    steps: int


@dataclass(frozen=True, slots=True)
class UpdateNumbers:
    """What the server keeps of an update once its arrays are folded in.

    Attributes:
        weight: as the site told, as `loss` and `steps`.
        length: Euclidean length of its change of the global arrays.
        left_out: it was so much longer than others that it is no part of the average.
    """

    site: str
    weight: float
    loss: float
    steps: int
    length: float
    left_out: bool = False


@dataclass(frozen=True, slots=True)
class GlobalState:
    """The federated model between two rounds.

    Attributes:
        arrays: the parameters, by name.
        memory: what a stateful aggregator keeps (momenta), by name.
        round: rounds aggregated so far within the cycle.
    """

    arrays: Arrays
    memory: Arrays = field(default_factory=dict)
    round: int = 0


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one site measured on one of its splits: sums, their covariance, its own estimates.

    No per-case score leaves: `sums` are counts in fixed bins and totals, laid out by
    `strategies/metrics/sums.py`, and add up over sites; `covariance` is that of the sums when
    patients are drawn anew (bootstrap clustered on patients).

    Attributes:
        cases: labeled cases measured, at least 0.
        patients: distinct patients among them.
        clustered: False where the source names no patients; the interval is then image-level.
        unsettled: cases that readers left unsure or unreadable, and so are not measured.
        sums: (m,) float64.
        covariance: (m (m + 1) / 2,) float32, the upper triangle of (m, m), row by row.
        fine: (scored classes, 2, fine bins) counts of positives and of negatives by score: for the
            pooled rank metrics' estimates alone, which the bins of `sums` would blur.
        estimates: the site's own metrics by name, from its exact scores; NaN where not estimable.
        variances: of the estimates, by the same names; NaN where not estimable.
    """

    cases: int
    patients: int
    clustered: bool
    unsettled: int
    sums: NDArray[np.float64]
    covariance: NDArray[np.float32]
    fine: NDArray[np.float64]
    estimates: Mapping[str, float]
    variances: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class SiteEvaluation:
    """One site's evaluation of the global model; either part is None where there is nothing.

    Attributes:
        audit: on the audit cases read so far.
        locked: on a locked test set, where the site holds one (always in a simulation).
    """

    site: str
    audit: Evaluation | None
    locked: Evaluation | None


@dataclass(frozen=True, slots=True)
class CycleRecord:
    """What one finished cycle reported, granted, spent and returned.

    Mappings are by site name. `advice` is what the stopping rule said, empty where it said nothing.
    """

    cycle: int
    reports: Mapping[str, SiteReport]
    grants: Mapping[str, Grant]
    progress: Mapping[str, SiteProgress]
    advice: str = ""
