"""What makes one simulated answer differ from another: how hard a case is, and a reader's habit."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from protocol.rehearsal import Readers
from protocol.sections import Task
from protocol.seeds import Purpose, generator
from protocol.study import Study
from simulations.readers import Answered, SimulatedReader


def difficulty(study: Study, site: int, case: int) -> float:
    """How many times as hard as the mean a case is, the same for every arm and reader; 1 is usual.

    Log-normal with mean 1, by the study's seed.

    Args:
        study: with `simulation.readers.difficulty`, the sigma.
        site: its number.
        case: its number in the site's store.
    """
    sigma = study.simulation.readers.difficulty
    if sigma == 0:
        return 1.0
    rng = generator(study.seed, site, case, 0, Purpose.DIFFICULTY)
    return math.exp(sigma * float(rng.standard_normal()) - sigma**2 / 2)


def before_a_case(reader: SimulatedReader, factor: float) -> SimulatedReader:
    """The reader before a case so many times as hard: as many times the seconds and odds to err."""
    if factor == 1.0:
        return reader
    error = tuple(e * factor / (1 - e + e * factor) for e in reader.error)
    return replace(reader, error=error, seconds=reader.seconds * factor)


def is_biased(readers: Readers, number: int, count: int) -> bool:
    """Whether a site's reader of that number, from 1 of `count`, is one who prefers a class."""
    return number > count - readers.biased


def leaning(said: Answered, readers: Readers, task: Task, rng: np.random.Generator) -> Answered:
    """What a reader who prefers a class says in place of `said`; takes one random number.

    In a single-label task the preferred class instead of another; in a multi-label task the
    preferred class, too.
    """
    leans = float(rng.random()) < readers.bias
    if said.answer != "answered" or not leans:
        return said
    wanted = task.names.index(readers.prefers)
    kept = said.value if task.multi_label else (0,) * len(said.value)
    value = tuple(1 if i == wanted else v for i, v in enumerate(kept))
    return replace(said, value=value)
