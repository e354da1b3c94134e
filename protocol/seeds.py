"""Where simulated randomness comes from: one generator per purpose, never a global one.

Outside a simulation keys, privacy noise and Poisson sampling come from the operating system.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What a stream of random numbers is for. Numbers are part of a run's bits: never renumber."""

    SPLIT = 1
    PATIENTS = 2
    WEIGHTS = 3
    COLD_START = 4
    QUERY = 5
    EXPLORE = 6
    AUDIT = 7
    TRAIN = 8
    DROPOUT = 9
    READER = 10
    ALLOCATE = 11
    EVALUATE = 12
    PHANTOM = 13
    SCANNER = 14
    ATTACK = 30
    MASK = 31
    LOCAL = 15
    SCRATCH = 16
    PRIVATE_REPORT = 40
    PRIVATE_TRAIN = 41
    PRIVATE_AUDIT = 42
    PRIVATE_LOCKED = 43
    PRIVATE_THRESHOLD = 44
    ONE_EACH = 45
    ARRIVAL = 50
    DIFFICULTY = 51
    SHARE = 52
    CLUSTER = 53


def generator(
    seed: int, site: int, cycle: int, round_: int, purpose: Purpose
) -> np.random.Generator:
    """A generator that depends on these five integers alone.

    Args:
        seed: the study's.
        site: the site's number; -1 is the server.
        cycle: from 0.
        round_: from 0.
        purpose: what it is for.
    """
    return np.random.default_rng(
        np.random.SeedSequence((seed, site + 1, cycle, round_, int(purpose)))
    )
