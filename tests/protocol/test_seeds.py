"""Streams of random numbers: one per five integers, the same on every run."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.seeds import Purpose, generator

FIVE = st.tuples(
    st.integers(0, 2**63 - 1),
    st.integers(-1, 1000),
    st.integers(0, 100),
    st.integers(0, 100),
    st.sampled_from(list(Purpose)),
)


def first(five: tuple[int, int, int, int, Purpose]) -> list[int]:
    return [int(n) for n in generator(*five).integers(0, 2**63, 4)]


@pytest.mark.slow
@given(FIVE)
def test_the_same_integers_give_the_same_numbers(five: tuple[int, int, int, int, Purpose]) -> None:
    np.random.default_rng().random()  # the world's own generators do not matter
    assert first(five) == first(five)


@pytest.mark.slow
@given(FIVE, FIVE)
def test_other_integers_give_other_numbers(
    one: tuple[int, int, int, int, Purpose], other: tuple[int, int, int, int, Purpose]
) -> None:
    assert (first(one) == first(other)) == (one == other)


@pytest.mark.parametrize("place", range(5))
def test_every_integer_counts(place: int) -> None:
    five = [2**40, 1, 2, 3, Purpose.TRAIN]
    changed = list(five)
    changed[place] = Purpose.QUERY if place == 4 else int(five[place]) + 1
    assert first(tuple(five)) != first(tuple(changed))  # type: ignore[arg-type]  # five of them


def test_seeds_of_more_than_32_bits_do_not_meet_smaller_ones() -> None:
    streams = [
        first((seed, site, 0, 0, Purpose.SPLIT))
        for seed in (0, 1, 2**32, 2**32 + 1, 2**33, 2**62)
        for site in (-1, 0, 1)
    ]
    assert len({tuple(s) for s in streams}) == len(streams)


def test_purposes_keep_their_numbers() -> None:
    """Part of every run's bits: a purpose may be added at the end, none may move."""
    assert [(p.name, p.value) for p in Purpose][:14] == [
        ("SPLIT", 1),
        ("PATIENTS", 2),
        ("WEIGHTS", 3),
        ("COLD_START", 4),
        ("QUERY", 5),
        ("EXPLORE", 6),
        ("AUDIT", 7),
        ("TRAIN", 8),
        ("DROPOUT", 9),
        ("READER", 10),
        ("ALLOCATE", 11),
        ("EVALUATE", 12),
        ("PHANTOM", 13),
        ("SCANNER", 14),
    ]
    assert len({p.value for p in Purpose}) == len(Purpose)


def test_first_numbers_are_frozen() -> None:
    assert first((0, -1, 0, 0, Purpose.SPLIT))[:2] == [6246038554070098266, 2241157181836120544]
    assert first((2**40, 3, 2, 1, Purpose.TRAIN))[:2] == [2683197754063646666, 4725974454899299060]
