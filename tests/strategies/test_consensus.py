from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from protocol.records import Label, Reading
from strategies.consensus import CONSENSUS, DawidSkene, Majority
from strategies.consensus.dawid_skene import fit, fit_classes


def reading(
    case: str, reader: str, value: Sequence[int], at: str = "2026-01-01T10:00:00Z"
) -> Reading:
    return Reading(case, reader, at, 10.0, "answered", tuple(value))


def choice(case: str, reader: str, c: int, classes: int = 3) -> Reading:
    return reading(case, reader, [int(i == c) for i in range(classes)])


def planted(
    confusion: NDArray[np.float64], prior: Sequence[float], cases: int, per_case: int, seed: int
) -> tuple[NDArray[np.int64], list[Reading]]:
    rng = np.random.default_rng(seed)
    readers, classes, _ = confusion.shape
    truth = rng.choice(classes, p=prior, size=cases)
    return truth, [
        choice(f"{i:05}", f"r{r}", int(rng.choice(classes, p=confusion[r, t])), classes)
        for i, t in enumerate(truth)
        for r in rng.choice(readers, per_case, replace=False)
    ]


def accuracy(labels: dict[str, Label], truth: NDArray[np.int64]) -> float:
    return float(np.mean([np.argmax(labels[f"{i:05}"].target) == t for i, t in enumerate(truth)]))


answers = st.lists(
    st.tuples(st.sampled_from("uvwxyz"), st.sampled_from("abcd"), st.integers(0, 2)), max_size=25
)


@pytest.fixture(params=sorted(CONSENSUS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("row", sorted(CONSENSUS))
@pytest.mark.parametrize("multi_label", [False, True])
@settings(deadline=None, max_examples=25)
@given(rows=answers)
def test_every_answered_case_gets_probabilities(
    row: str, multi_label: bool, rows: list[tuple[str, str, int]]
) -> None:
    labels = CONSENSUS[row](multi_label=multi_label).settle([choice(*r) for r in rows])
    assert labels.keys() == {case for case, _, _ in rows}
    for case, label in labels.items():
        assert label.case == case
        assert label.readings == len({reader for c, reader, _ in rows if c == case})
        assert all(0 <= p <= 1 for p in label.target)
        if not multi_label:
            assert sum(label.target) == pytest.approx(1)


@pytest.mark.parametrize("row", sorted(CONSENSUS))
@pytest.mark.parametrize("multi_label", [False, True])
@settings(deadline=None, max_examples=25)
@given(rows=answers)
def test_unsure_and_unreadable_change_nothing(
    row: str, multi_label: bool, rows: list[tuple[str, str, int]]
) -> None:
    consensus = CONSENSUS[row](multi_label=multi_label)
    answered = [choice(*r) for r in rows]
    noise = [
        Reading(case, reader, "2027-01-01T00:00:00Z", 1.0, answer)
        for case in "ux9"
        for reader in "ae"
        for answer in ("unsure", "unreadable")
    ]
    assert consensus.settle([*noise[:5], *answered, *noise]) == consensus.settle(answered)


@pytest.mark.parametrize("row", sorted(CONSENSUS))
@settings(deadline=None, max_examples=25)
@given(rows=answers, order=st.permutations("abcd"))
def test_names_of_readers_play_no_part(
    row: str, rows: list[tuple[str, str, int]], order: list[str]
) -> None:
    renamed = dict(zip("abcd", order, strict=True))
    consensus = CONSENSUS[row]()
    given_ = [choice(*r) for r in rows]
    other = [replace(r, reader=renamed[r.reader]) for r in given_]
    assert consensus.settle(given_) == consensus.settle(other)


@pytest.mark.parametrize("row", sorted(CONSENSUS))
@settings(deadline=None, max_examples=25)
@given(
    rows=st.lists(
        st.tuples(st.sampled_from("uvwx"), st.sampled_from("abc"), st.integers(0, 2)),
        max_size=12,
        unique_by=lambda r: r[:2],
    ),
    seed=st.integers(0, 99),
)
def test_order_of_readings_moves_rounding_only(
    row: str, rows: list[tuple[str, str, int]], seed: int
) -> None:
    given_ = [choice(*r) for r in rows]
    shuffled = [given_[i] for i in np.random.default_rng(seed).permutation(len(given_))]
    a, b = CONSENSUS[row]().settle(given_), CONSENSUS[row]().settle(shuffled)
    assert a.keys() == b.keys()
    assert all(a[c].target == pytest.approx(b[c].target, abs=1e-5) for c in a)


def test_the_latest_answer_of_a_reader_counts(name: str) -> None:
    first = reading("x", "a", (1, 0), "2026-03-01T12:00:00+00:00")
    later = reading("x", "a", (0, 1), "2026-03-01T12:30:00.5+00:00")
    other_zone = reading("x", "a", (1, 0), "2026-03-01T13:00:00+01:00")  # 12:00 UTC
    consensus = CONSENSUS[name]()
    expected = consensus.settle([later])
    assert expected["x"].target[1] > 0.9
    for order in ([first, later], [later, first], [later, other_zone], [first, later, other_zone]):
        assert consensus.settle(order) == expected
    withdrawn = replace(later, at="2026-03-02T00:00:00Z", answer="unsure", value=())
    assert consensus.settle([first, later, withdrawn]) == expected


def test_of_equal_times_the_later_in_the_row_counts(name: str) -> None:
    rows = [reading("x", "a", (1, 0)), reading("x", "a", (0, 1))]
    assert CONSENSUS[name]().settle(rows) == CONSENSUS[name]().settle(rows[1:])


def test_no_reading_gives_no_label(name: str) -> None:
    for multi_label in (False, True):
        assert CONSENSUS[name](multi_label=multi_label).settle([]) == {}


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([reading("secret", "dr-who", (1, 1))], "chooses 2 of 2 classes: accepted is exactly one"),
        ([reading("secret", "dr-who", (0, 0))], "chooses 0 of 2 classes"),
        ([reading("secret", "dr-who", (0, 2))], "other values than 0 and 1"),
        ([reading("secret", "dr-who", ())], "hold 0 values"),
        ([reading("secret", "dr-who", (1, 0)), reading("b", "a", (1, 0, 0))], "hold 2, 3 values"),
        ([reading("secret", "dr-who", (1, 0), "noon")] * 2, "at 'noon': accepted is ISO 8601"),
    ],
)
def test_values_that_do_not_fit_are_refused_without_case_or_reader(
    name: str, rows: list[Reading], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence) as refused:
        CONSENSUS[name]().settle(rows)
    assert "secret" not in str(refused.value)
    assert "dr-who" not in str(refused.value)


@pytest.mark.parametrize(
    ("chosen", "hard", "soft"),
    [
        ([0, 0, 1], (1, 0, 0), (2 / 3, 1 / 3, 0)),
        ([0, 1], (0.5, 0.5, 0), (0.5, 0.5, 0)),
        ([0, 1, 2], (1 / 3, 1 / 3, 1 / 3), (1 / 3, 1 / 3, 1 / 3)),
        ([0, 0, 1, 1, 2], (0.5, 0.5, 0), (0.4, 0.4, 0.2)),
        ([2], (0, 0, 1), (0, 0, 1)),
    ],
)
def test_majority_by_hand(
    chosen: list[int], hard: tuple[float, ...], soft: tuple[float, ...]
) -> None:
    rows = [choice("x", f"r{i}", c) for i, c in enumerate(chosen)]
    assert Majority().settle(rows)["x"].target == pytest.approx(hard)
    assert Majority(soft=True).settle(rows)["x"].target == pytest.approx(soft)


def test_multi_label_majority_by_hand() -> None:
    rows = [
        reading("x", f"r{i}", v)
        for i, v in enumerate([(1, 1, 0, 0), (1, 0, 0, 1), (1, 1, 0, 0), (1, 0, 0, 0)])
    ]
    assert Majority(multi_label=True).settle(rows)["x"].target == (1.0, 0.5, 0.0, 0.0)
    soft = Majority(multi_label=True, soft=True).settle(rows)["x"].target
    assert soft == (1.0, 0.5, 0.0, 0.25)


def test_dawid_skene_on_agreement_by_hand() -> None:
    # Two readers agree on 6 + 4 cases: each right 6.99 of 7 and 4.99 of 5 with the pseudo-readings,
    # prior 0.6 : 0.4, so that "0, 0" has odds 0.6 * (6.99/7)^2 to 0.4 * (0.01/5)^2 at the start.
    rows = [choice(f"{i}", r, int(i >= 6), 2) for i in range(10) for r in "ab"]
    odds = 0.6 * (6.99 / 7) ** 2 / (0.4 * (0.01 / 5) ** 2)
    result = fit(rows)
    assert result.posteriors[0, 0] == pytest.approx(odds / (1 + odds), abs=1e-8)
    assert result.prior == pytest.approx([0.6, 0.4], abs=1e-5)
    assert result.confusion[0, 0] == pytest.approx([6.99 / 7, 0.01 / 7], abs=1e-5)
    assert result.converged


def test_planted_confusions_are_recovered() -> None:
    confusion = np.array(
        [
            [[0.95, 0.05], [0.10, 0.90]],
            [[0.70, 0.30], [0.05, 0.95]],
            [[0.98, 0.02], [0.40, 0.60]],
            [[0.80, 0.20], [0.20, 0.80]],
        ]
    )
    truth, rows = planted(confusion, (0.7, 0.3), cases=3000, per_case=3, seed=1)
    result = fit(rows)
    order = [result.readers.index(f"r{r}") for r in range(4)]
    assert np.abs(result.confusion[order] - confusion).max() < 0.06
    assert result.prior == pytest.approx([0.7, 0.3], abs=0.03)
    assert result.confusion.sum(axis=2) == pytest.approx(np.ones((4, 2)))
    assert result.converged
    labels = DawidSkene().settle(rows)
    assert labels["00007"].target == tuple(result.posteriors[result.cases.index("00007")].tolist())
    assert accuracy(dict(labels), truth) >= accuracy(dict(Majority().settle(rows)), truth)


def test_two_careless_readers_do_not_outvote_a_careful_one() -> None:
    # Both careless ones call class 2 mostly 1, and so win every vote against the careful one.
    careful = np.eye(3) * 0.94 + 0.02
    careless = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.05, 0.6, 0.35]])
    truth, rows = planted(np.array([careful, careless, careless]), (0.4, 0.3, 0.3), 1500, 3, seed=2)
    by_vote = accuracy(dict(Majority().settle(rows)), truth)
    assert accuracy(dict(DawidSkene().settle(rows)), truth) > by_vote + 0.08


def test_probabilities_mean_what_they_say() -> None:
    confusion = np.array([np.eye(2) * a + (1 - a) / 2 for a in (0.9, 0.7, 0.5, 0.4)])
    truth, rows = planted(confusion, (0.5, 0.5), 4000, 2, seed=3)
    labels = DawidSkene().settle(rows)
    p = np.array([labels[f"{i:05}"].target[1] for i in range(len(truth))])
    unclear = (p > 0.55) & (p < 0.9)
    assert unclear.sum() > 300
    assert truth[unclear].mean() == pytest.approx(p[unclear].mean(), abs=0.06)


def test_one_reader_alone_is_believed() -> None:
    rows = [choice(f"{i}", "a", i % 3) for i in range(12)]
    labels = DawidSkene().settle(rows)
    assert all(labels[f"{i}"].target[i % 3] > 0.95 for i in range(12))


def test_a_class_that_nobody_chose_has_no_chance_and_breaks_nothing() -> None:
    rows = [choice(f"{i}", r, 2 * (i % 2)) for i in range(6) for r in "ab"]
    result = fit(rows)
    assert result.prior[1] == 0
    assert np.all(result.posteriors[:, 1] == 0)
    assert np.isfinite(result.confusion).all()
    only_one = [choice(f"{i}", "a", 1) for i in range(3)]
    assert DawidSkene().settle(only_one)["0"].target == (0.0, 1.0, 0.0)


def test_readers_who_contradict_each_other_leave_the_case_open() -> None:
    rows = [choice("x", "a", 0, 2), choice("x", "b", 1, 2)]
    assert DawidSkene().settle(rows)["x"].target == pytest.approx((0.5, 0.5))


def test_multi_label_settles_each_class_as_a_problem_of_its_own() -> None:
    rng = np.random.default_rng(4)
    truth = rng.random((300, 3)) < (0.5, 0.3, 0.1)
    rows = [
        reading(f"{i:03}", f"r{r}", [int(t != (rng.random() < 0.05 * (r + 1))) for t in truth[i]])
        for i in range(300)
        for r in range(3)
    ]
    labels = DawidSkene(multi_label=True).settle(rows)
    targets = np.array([labels[f"{i:03}"].target for i in range(300)])
    # errors of 5, 10 and 15 % leave two of three right 97.4 % of the time, SD 0.5 % in 900
    assert ((targets > 0.5) == truth).mean() > 0.955
    for c, result in enumerate(fit_classes(rows)):
        alone = [replace(r, value=(1 - r.value[c], r.value[c])) for r in rows]
        assert np.array_equal(result.posteriors, fit(alone).posteriors)
        assert np.array_equal(targets[:, c], result.posteriors[:, 1])


def test_a_single_multi_label_class_is_enough() -> None:
    labels = DawidSkene(multi_label=True).settle([reading("x", "a", (1,)), reading("y", "a", (0,))])
    assert labels["x"].target[0] > 0.9 > 0.1 > labels["y"].target[0]


@pytest.mark.parametrize("smoothing", [0.0, -1.0, float("nan"), float("inf")])
def test_smoothing_out_of_range_is_refused(smoothing: float) -> None:
    with pytest.raises(ValueError, match=r"smoothing = .*accepted is"):
        DawidSkene(smoothing=smoothing)
    with pytest.raises(ValueError, match=r"smoothing = .*accepted is"):
        fit([choice("x", "a", 0)], smoothing)


def test_nothing_to_fit_is_refused() -> None:
    for fitting in (fit, fit_classes):
        with pytest.raises(ValueError, match="no answered reading"):
            fitting([])
