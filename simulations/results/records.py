"""The nouns of a finished simulation, as they stand in its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator

from strategies.metrics.combine import Results, from_json

Split: TypeAlias = Literal["locked", "audit"]

BOUND = "full"
"""The arm that was given every label of the pool at once."""


def _results(plain: object) -> Results | None:
    """The results that stand in a line of `cycles.jsonl`."""
    if plain is None or isinstance(plain, Results):
        return plain
    return from_json(plain)


Measured: TypeAlias = Annotated[Results | None, BeforeValidator(_results)]


@dataclass(frozen=True, slots=True)
class Splits:
    """One evaluation on the audit set and on the locked test set."""

    audit: Measured
    locked: Measured


@dataclass(frozen=True, slots=True)
class Cycle:
    """One line of `cycles.jsonl`; cycle -1 is the first weights, before any reading.

    Attributes:
        readings: of every purpose so far.
        training_readings: the same without audit readings.
        audit_readings: of audit cases so far.
        minutes: active reader minutes so far.
        days: simulated calendar days so far.
        granted, spent, returned: by site, this cycle, in the budget's unit.
        reasons: by site, why the grant was what it was.
        labels: by site, training labels of each class so far.
        site_minutes: by site, active minutes so far.
        loss: mean training loss of each round.
        advice: what the stopping rule said, empty where it said nothing.
    """

    cycle: int
    readings: int
    training_readings: int
    audit_readings: int
    minutes: float
    days: float
    granted: Mapping[str, int]
    reasons: Mapping[str, str]
    spent: Mapping[str, int]
    returned: Mapping[str, int]
    labels: Mapping[str, tuple[float, ...]]
    site_minutes: Mapping[str, float]
    loss: tuple[float | None, ...]
    advice: str
    metrics: Splits


@dataclass(frozen=True, slots=True)
class Coming:
    """The cases that came to all pools before a cycle; before the first are those of the start.

    Attributes:
        cases: how many.
        classes: how many of each class, as the hidden truth has it.
        new_scanner: whether another scanner made them.
    """

    cycle: int
    cases: int
    classes: tuple[int, ...]
    new_scanner: bool


@dataclass(frozen=True, slots=True)
class Gained:
    """A comparison with asking at random; see `strategies.stopping.gain.Gain`.

    Attributes:
        metrics: estimate, low and high by metric; None where not estimable.
    """

    cycle: int
    labels: int
    apart: int
    cases: int
    metrics: Mapping[str, tuple[float | None, float | None, float | None]]
    verdict: str
    words: str


@dataclass(frozen=True, slots=True)
class Simulation:
    """`simulation.json`: which arms and seeds were asked for, on what data and sites.

    Attributes:
        runs: arm and seed of each that was asked for; where it is empty every arm with every seed.
    """

    study: str
    arms: tuple[str, ...]
    seeds: tuple[int, ...]
    data: Mapping[str, str | int | bool | None]
    split: str
    sites: tuple[str, ...]
    scored_on: str
    unit: str
    engine: str
    workers: int
    runs: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """One arm with one seed, finished.

    Attributes:
        identity: the study's.
        weights: hash of the first weights.
        data: hash of the data.
        versions: of the software, by name.
        seconds: wall time.
        study: the resolved study file as it was written.
        multi_label: whether a case may belong to several classes.
        cycles: the baseline (cycle -1), then cycle 0, 1, ...
        attack: what one of its sites did wrong, by name; "" where all were honest.
        attacker: the name of that site.
        backdoor: the share of test images of other classes that an attacker's mark turned to its
            class, by the last model; None where that was not looked at.
        privacy: by site: epsilons of "training" and "audit", "delta", and whether the first covers
            the choice of cases ("covered"); empty where the study is not private.
        arrivals: for each cycle that patients came before: how many cases, of which class, and
            whether from a new scanner; empty where the pools did not change.
        gains: what each comparison with asking at random said, oldest first.
        folder: where it was read from.
    """

    arm: str
    seed: int
    identity: str
    weights: str
    data: str
    versions: Mapping[str, str | None]
    git: str | None
    seconds: float
    study: str
    multi_label: bool
    cycles: tuple[Cycle, ...]
    attack: str = ""
    attacker: str = ""
    backdoor: float | None = None
    privacy: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    arrivals: tuple[Coming, ...] = ()
    gains: tuple[Gained, ...] = ()
    folder: Path = Path()

    def labels_at(self, cycle: Cycle) -> int:
        """Training labels of all sites so far.

        In a multi-label task one label may hold several classes or none, so counts of classes do
        not add up to it: the training readings stand for them there.
        """
        if self.multi_label:
            return cycle.training_readings
        return round(sum(sum(counts) for counts in cycle.labels.values()))

    @property
    def evaluations(self) -> tuple[Cycle, ...]:
        """The cycles after which something had been read."""
        return tuple(c for c in self.cycles if c.cycle >= 0)


@dataclass(frozen=True, slots=True)
class Runs:
    """All finished runs of some directories, arms in the order they were asked for.

    Attributes:
        simulations: one per directory.
        runs: by arm in that order, then by seed.
        warnings: a line for each run that was left out.
    """

    simulations: tuple[Simulation, ...]
    runs: tuple[Run, ...]
    warnings: tuple[str, ...]

    @property
    def arms(self) -> tuple[str, ...]:
        """Names of the arms, the supervised bound last."""
        names = dict.fromkeys(r.arm for r in self.runs)
        return tuple(sorted(names, key=is_bound))

    @property
    def seeds(self) -> tuple[int, ...]:
        """Every seed that some arm was run with."""
        return tuple(sorted({r.seed for r in self.runs}))

    def of(self, arm: str) -> tuple[Run, ...]:
        """The runs of one arm, by seed."""
        return tuple(r for r in self.runs if r.arm == arm)


def is_bound(arm: str) -> bool:
    """Whether an arm is the fully supervised bound, also under a directory's name."""
    return arm.rsplit("/", 1)[-1] == BOUND
