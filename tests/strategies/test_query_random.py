"""Random: every case, set and order of cases is as likely as any other."""

from __future__ import annotations

from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from scipy.stats import chi2

from strategies.pool import Pool
from strategies.query.at_random import Random


def drawn(n: int, k: int, seed: int) -> tuple[int, ...]:
    return tuple(Random().select(Pool(n), k, np.random.default_rng(seed)).tolist())


@pytest.mark.parametrize(("n", "k"), [(5, 2), (4, 3), (7, 1)])
def test_every_ordered_choice_is_as_likely_as_any_other(n: int, k: int) -> None:
    seen, wanted = (
        Counter(drawn(n, k, seed) for seed in range(4000)),
        list(permutations(range(n), k)),
    )
    assert set(seen) == set(wanted)
    expected = 4000 / len(wanted)
    statistic = sum((seen[rows] - expected) ** 2 / expected for rows in wanted)
    assert statistic < chi2.ppf(1 - 1e-4, len(wanted) - 1)
    assert statistic > chi2.ppf(1e-4, len(wanted) - 1)  # nor dealt out evenly


def test_a_seed_is_a_choice_and_two_seeds_are_two() -> None:
    assert drawn(1000, 10, 1) == drawn(1000, 10, 1)
    assert len({drawn(1000, 10, seed) for seed in range(200)}) == 200
