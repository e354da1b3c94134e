"""Agreement: the papers' own numbers, what must hold of every coefficient, intervals that hold."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from protocol.records import Reading
from strategies.agreement import (
    Answers,
    Estimate,
    answers,
    cohen,
    fleiss,
    gwet,
    krippendorff,
    percent,
)


def alpha(table: Answers) -> Estimate:
    return krippendorff(table, np.random.default_rng(7), draws=400)


EVERY: dict[str, Callable[[Answers], Estimate]] = {
    "alpha": alpha, "cohen": cohen, "fleiss": fleiss, "gwet": gwet, "percent": percent,
}  # fmt: skip

# Krippendorff (2011): four observers, twelve units, five values, 0 where one is missing.
FOUR = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
        [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
    ]
)
# Fleiss (1971), table 1: thirty patients, six psychiatrists each, five diagnoses.
DIAGNOSES = (
    "00060 03003 01401 00006 03030 20400 00402 20310 20040 00006 10050 11040 03300 10050 02031 "
    "00501 30012 51000 02040 10203 00006 01050 02013 20040 10041 05010 40002 02040 10500 00006"
)


def of_counts(rows: list[list[int]]) -> Answers:
    return Answers(np.array([np.repeat(np.arange(len(r)), r) for r in rows]), len(rows[0]))


def of_table(table: list[list[int]]) -> Answers:
    pairs = [(i, j) for i, row in enumerate(table) for j, n in enumerate(row) for _ in range(n)]
    return Answers(np.array(pairs), len(table))


def test_krippendorff_s_own_example() -> None:
    found = alpha(Answers(FOUR.T - 1, 5))
    assert found.value == pytest.approx(0.743, abs=5e-4)
    assert found.cases == 11
    assert 0.3 < found.low < 0.6 < 0.9 < found.high <= 1.0


def test_gwet_and_fleiss_on_the_same_table_are_those_of_gwet_s_handbook() -> None:
    table = Answers(FOUR.T - 1, 5)
    found = gwet(table)
    assert (found.value, found.low) == pytest.approx((0.77544, 0.461), abs=5e-4)
    found = fleiss(table)
    assert (found.value, found.low) == pytest.approx((0.76117, 0.424), abs=5e-4)
    assert percent(table).value == pytest.approx(9 / 11)


def test_fleiss_own_example() -> None:
    table = of_counts([[int(c) for c in row] for row in DIAGNOSES.split()])
    found = fleiss(table)
    assert found.value == pytest.approx(0.430, abs=5e-4)
    assert found.low < 0.43 < found.high


def test_cohen_by_hand_and_its_large_sample_error() -> None:
    # p_o = 0.70, p_e = 0.60 * 0.65 + 0.30 * 0.25 + 0.10 * 0.10 = 0.475
    found = cohen(of_table([[106, 10, 4], [22, 28, 10], [2, 12, 6]]))
    assert found.value == pytest.approx(0.225 / 0.525)
    assert (found.high - found.low) / 2 / 1.959964 == pytest.approx(0.0537, abs=1e-4)
    assert found.cases == 200


def test_ac1_keeps_its_value_where_kappa_falls() -> None:
    # 118 and 5 agreed, 2 apart: nearly all say no (Gwet 2008 calls it the paradox of kappa)
    table = of_table([[118, 5], [2, 0]])
    assert cohen(table).value == pytest.approx(-0.0234, abs=1e-3)
    pi = (120 + 123) / 250
    expected = 2 * pi * (1 - pi)
    assert gwet(table).value == pytest.approx((118 / 125 - expected) / (1 - expected))
    assert gwet(table).value > 0.93


@pytest.mark.parametrize("name", EVERY)
def test_all_agree_is_one_and_says_nothing_of_its_error_but_by_wilson(name: str) -> None:
    found = EVERY[name](Answers(np.array([[0, 0], [1, 1], [2, 2], [1, 1]]), 3))
    assert found.value == pytest.approx(1.0)
    assert np.isnan(found.low) == (name != "percent")
    if name == "percent":
        assert found.low == pytest.approx(4 / (4 + 1.959964**2))  # Wilson with every case agreed


@pytest.mark.parametrize("name", EVERY)
def test_without_double_readings_there_is_no_number(name: str) -> None:
    found = EVERY[name](Answers(np.array([[0, -1], [-1, 1]]), 2))
    assert found.cases == 0
    assert np.isnan(found.value)


@pytest.mark.parametrize("name", ["alpha", "cohen", "fleiss"])
def test_where_all_name_one_category_a_kappa_is_not_defined(name: str) -> None:
    assert np.isnan(EVERY[name](Answers(np.zeros((5, 2), dtype=np.int64), 2)).value)


TABLES = hnp.arrays(
    np.int64, st.tuples(st.integers(2, 8), st.integers(2, 4)), elements=st.integers(-1, 2)
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@example(table=np.array([[0, 2], [-1, 2], [2, 0]]), seed=0, name="fleiss")  # -1.25
@given(table=TABLES, seed=st.integers(0, 2**16), name=st.sampled_from(sorted(EVERY)))
def test_who_is_who_and_what_is_called_what_play_no_part(
    table: np.ndarray, seed: int, name: str
) -> None:
    if name == "cohen":
        table = table[:, :2]
    rng = np.random.default_rng(seed)
    before = EVERY[name](Answers(table, 3))
    named = np.where(table < 0, -1, rng.permutation(3)[table])
    after = EVERY[name](Answers(named[:, rng.permutation(table.shape[1])], 3))
    cases = EVERY[name](Answers(table[rng.permutation(len(table))], 3))
    for other in (after, cases):
        assert other.cases == before.cases
        assert other.value == pytest.approx(before.value, nan_ok=True)
        assert not other.value > 1 + 1e-12
    if name != "alpha":  # whose bootstrap draws cases by their order
        assert after.low == pytest.approx(before.low, nan_ok=True)
    if not np.isnan(before.low):
        assert before.low - 1e-9 <= before.value <= before.high + 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_intervals_hold_the_truth_about_as_often_as_they_say(name: str) -> None:
    rng, truth = np.random.default_rng(3), None
    found = []

    def sample(n: int) -> Answers:
        true = rng.choice(3, size=n, p=[0.5, 0.3, 0.2])
        slips = rng.random((n, 2)) < 0.25
        return Answers(np.where(slips, rng.integers(0, 3, (n, 2)), true[:, None]), 3)

    truth = EVERY[name](sample(200_000)).value if name != "alpha" else fleiss(sample(200_000)).value
    for _ in range(300):
        estimate = EVERY[name](sample(60))
        found.append(estimate.low <= truth <= estimate.high)
    assert 0.90 <= np.mean(found) <= 0.99


def _said(case: str, reader: str, *value: int, **more: object) -> Reading:
    kind = "answered" if value else "unsure"
    return Reading(case, reader, "2026-01-05T08:00:00+00:00", 1.0, kind, value, **more)  # type: ignore[arg-type]


def test_readings_become_tables_without_doubts_and_adjudicators() -> None:
    said = [
        _said("x", "ben", 1, 0), _said("x", "ann", 0, 1), _said("y", "ann", 1, 0),
        _said("y", "ben"), _said("x", "cleo", 0, 1, adjudicating=True),
    ]  # fmt: skip
    (table,) = answers(said, 2, multi_label=False)
    assert table.readers == ("ann", "ben")
    assert table.category.tolist() == [[1, 0], [0, -1]]
    assert table.shared.category.tolist() == [[1, 0]]
    first, second = answers(said, 2, multi_label=True)
    assert first.category.tolist() == [[0, 1], [1, -1]]
    assert second.category.tolist() == [[1, 0], [0, -1]]


@pytest.mark.parametrize(
    ("table", "categories", "sentence"),
    [([[0, 3]], 3, "accepted are 0 to 2"), ([[0, 1]], 0, "at least one category")],
)
def test_what_is_no_table_is_refused(
    table: list[list[int]], categories: int, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        Answers(np.array(table), categories)
