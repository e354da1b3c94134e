from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from protocol.records import GlobalState, SiteUpdate
from strategies.aggregation import AGGREGATION, FedAdam, FedAvg, FedProx


def arrays_of(seed: int) -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(seed)
    return {
        "conv.weight": rng.normal(size=(3, 4)).astype(np.float32),
        "conv.half": rng.normal(size=5).astype(np.float16),
        "head": rng.normal(size=(2,)),
        "seen": np.array(rng.integers(0, 1000), dtype=np.int64),
        "empty": np.zeros((0, 3), dtype=np.float32),
    }


def update(site: str, arrays: dict[str, NDArray[Any]], weight: float = 1.0) -> SiteUpdate:
    return SiteUpdate(site, arrays, weight, loss=0.0, steps=1)


def one(value: float, dtype: type = np.float64) -> dict[str, NDArray[Any]]:
    return {"w": np.array([value], dtype=dtype)}


def same(a: GlobalState, b: GlobalState) -> bool:
    return all(
        x.keys() == y.keys() and all(np.array_equal(x[n], y[n]) for n in x)
        for x, y in ((a.arrays, b.arrays), (a.memory, b.memory))
    )


ROBUST = sorted(n for n, row in AGGREGATION.items() if not row().streaming)
STREAMING = sorted(set(AGGREGATION) - set(ROBUST))
SITES = "abcdefg"  # enough for every row of the table


def test_the_sites_of_these_tests_are_enough() -> None:
    assert max(row().least_sites for row in AGGREGATION.values()) <= len(SITES)
    assert {n: AGGREGATION[n]().least_sites for n in ROBUST} == {
        "median": 3, "multi-krum": 5, "multi-krum-history": 5, "norm-bound": 3, "trimmed-mean": 3,
    }  # fmt: skip


@pytest.fixture(params=sorted(AGGREGATION))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_updates_equal_to_the_state_are_a_fixed_point(name: str) -> None:
    state = GlobalState(arrays_of(0))
    after = AGGREGATION[name]().step(state, [update(s, arrays_of(0), 3.7) for s in SITES])
    assert all(np.array_equal(after.arrays[n], a) for n, a in state.arrays.items())
    assert after.round == 1


def test_names_shapes_and_dtypes_are_kept(name: str) -> None:
    aggregator = AGGREGATION[name]()
    state = GlobalState(arrays_of(0))
    for round_ in range(2):
        state = aggregator.step(
            state, [update(s, arrays_of(i), i) for i, s in enumerate("x" + SITES)]
        )
        assert state.round == round_ + 1
    for n, a in arrays_of(0).items():
        assert isinstance(state.arrays[n], np.ndarray)
        assert (state.arrays[n].dtype, state.arrays[n].shape) == (a.dtype, a.shape)


@pytest.mark.parametrize("weights", [(), (0.0,), (0.0, 0.0)])
def test_without_weight_only_the_round_moves(name: str, weights: tuple[float, ...]) -> None:
    aggregator = AGGREGATION[name]()
    before = aggregator.step(
        GlobalState(arrays_of(0)), [update(s, arrays_of(i)) for i, s in enumerate(SITES)]
    )
    after = aggregator.step(
        before, [update(f"s{i}", arrays_of(i), w) for i, w in enumerate(weights)]
    )
    assert same(before, after)
    assert after.round == before.round + 1


def test_an_update_of_weight_0_changes_nothing(name: str) -> None:
    aggregator, state = AGGREGATION[name](), GlobalState(arrays_of(0))
    some = [update(s, arrays_of(i), 2.0) for i, s in enumerate(SITES)]
    alone = aggregator.step(state, some)
    beside = aggregator.step(state, [update("z", arrays_of(50), 0.0), *some])
    assert same(alone, beside)


@settings(deadline=None)
@given(
    values=st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(0.01, 1e4)), min_size=2, max_size=8),
    seed=st.integers(0, 99),
)
def test_order_of_sites_moves_rounding_only(values: list[tuple[float, float]], seed: int) -> None:
    state = GlobalState(one(0.5))
    updates = [update(f"s{i}", one(v), w) for i, (v, w) in enumerate(values)]
    shuffled = [updates[i] for i in np.random.default_rng(seed).permutation(len(updates))]
    largest = max(abs(v) for v, _ in values)
    for row in AGGREGATION.values():
        if len(updates) < row().least_sites:
            continue
        a, b = row().step(state, updates), row().step(state, shuffled)
        assert abs(a.arrays["w"][0] - b.arrays["w"][0]) <= 1e-12 * max(1.0, largest)


@settings(deadline=None)
@given(
    values=st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(0.01, 1e4)), min_size=1, max_size=8)
)
def test_the_average_is_that_of_numpy(values: list[tuple[float, float]]) -> None:
    updates = [update(f"s{i}", one(v), w) for i, (v, w) in enumerate(values)]
    expected = np.average([v for v, _ in values], weights=[w for _, w in values])
    got = FedAvg().step(GlobalState(one(0.0)), updates).arrays["w"][0]
    assert got == pytest.approx(expected, rel=1e-12, abs=1e-9)


def test_weights_by_hand() -> None:
    updates = [update("a", one(1.0), 30), update("b", one(5.0), 10)]
    for aggregator in (FedAvg(), FedProx()):
        assert aggregator.step(GlobalState(one(9.0)), updates).arrays["w"].tolist() == [2.0]


@pytest.mark.parametrize("name", STREAMING)
def test_whole_number_arrays_are_weighted_and_rounded(name: str) -> None:
    updates = [update("a", one(10, np.int64), 3), update("b", one(13, np.int64), 1)]
    after = AGGREGATION[name]().step(GlobalState(one(7, np.int64)), updates)
    assert after.arrays["w"].tolist() == [11]  # 10.75
    assert after.arrays["w"].dtype == np.int64


def test_float16_does_not_overflow_on_the_way() -> None:
    updates = [update(s, one(60000, np.float16), 100) for s in "abc"]
    after = FedAvg().step(GlobalState(one(0, np.float16)), updates)
    assert after.arrays["w"].tolist() == [np.float16(60000)]


def test_a_step_that_the_dtype_cannot_hold_is_refused() -> None:
    adam = FedAdam(server_learning_rate=1e4)
    with pytest.raises(ValueError, match="array 'w' of the new model does not fit into float16"):
        adam.step(GlobalState(one(60000, np.float16)), [update("a", one(65504, np.float16))])


def test_proximal_is_what_the_study_asks() -> None:
    assert {n: row().proximal for n, row in AGGREGATION.items()} == {
        **dict.fromkeys(AGGREGATION, 0.0),
        "fedprox": 0.01,
    }
    assert FedProx(mu=0.3).proximal == 0.3


def test_fedadam_by_hand() -> None:
    adam = FedAdam(server_learning_rate=0.5, beta1=0.9, beta2=0.99, tau=0.1)
    state = GlobalState(one(1.0))
    updates = [update("a", one(2.0), 1), update("b", one(4.0), 1)]  # mean 3, change 2
    first = adam.step(state, updates)
    # m = 0.1 * 2, v = 0.99 * 0.01 + 0.01 * 4 = 0.0499
    assert first.memory["m/w"][0] == pytest.approx(0.2, rel=1e-12)
    assert first.memory["v/w"][0] == pytest.approx(0.0499, rel=1e-12)
    assert first.arrays["w"][0] == pytest.approx(1 + 0.1 / (0.0499**0.5 + 0.1), rel=1e-12)
    x = first.arrays["w"][0]
    second = adam.step(first, [update("a", one(x - 1.0))])  # change -1
    m, v = 0.9 * 0.2 - 0.1, 0.99 * 0.0499 + 0.01
    assert second.memory["m/w"][0] == pytest.approx(m, rel=1e-12)
    assert second.arrays["w"][0] == pytest.approx(x + 0.5 * m / (v**0.5 + 0.1), rel=1e-12)


def test_fedadam_remembers_in_float64_and_floats_only() -> None:
    after = FedAdam().step(GlobalState(arrays_of(0)), [update("a", arrays_of(1))])
    floats = {"conv.weight", "conv.half", "head", "empty"}
    assert after.memory.keys() == {f"{k}/{n}" for k in "mv" for n in floats}
    assert {a.dtype for a in after.memory.values()} == {np.dtype(np.float64)}
    assert after.arrays["seen"] == arrays_of(1)["seen"]


def test_memory_that_does_not_fit_is_refused() -> None:
    state = GlobalState(one(1.0), {"m/w": np.zeros(3)})
    with pytest.raises(ValueError, match="memory 'm/w' has shape"):
        FedAdam().step(state, [update("a", one(1.0))])


def test_inputs_are_not_changed(name: str) -> None:
    state, given_ = (
        GlobalState(arrays_of(0)),
        [update(s, arrays_of(i)) for i, s in enumerate(SITES)],
    )
    for a in [*state.arrays.values(), *(a for u in given_ for a in u.arrays.values())]:
        a.flags.writeable = False
    AGGREGATION[name]().step(state, given_)  # a write would raise


@pytest.mark.parametrize("name", STREAMING)
def test_each_update_is_dropped_before_the_next(name: str) -> None:
    aggregator = AGGREGATION[name]()
    seen: list[weakref.ref[NDArray[Any]]] = []
    alive: list[int] = []

    def fresh(i: int) -> SiteUpdate:
        arrays = arrays_of(i)
        seen.append(weakref.ref(arrays["conv.weight"]))
        return update(f"s{i}", arrays)

    def stream() -> Iterator[SiteUpdate]:
        for i in range(5):
            alive.append(sum(r() is not None for r in seen))
            yield fresh(i)

    aggregator.step(GlobalState(arrays_of(0)), stream())
    assert alive == [0] * 5


NAN = {**arrays_of(1), "head": np.array([1.0, np.nan])}


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (update("west", NAN), "array 'head' of site 'west' holds 1 values that are not finite"),
        (
            update("west", {**arrays_of(1), "head": np.zeros(3)}),
            r"array 'head' of site 'west' has shape \(3,\): accepted is \(2,\)",
        ),
        (
            update("west", {**arrays_of(1), "more": np.zeros(3)}),
            "update of site 'west' has an unknown array 'more'",
        ),
        (
            update("west", {n: a for n, a in arrays_of(1).items() if n != "seen"}),
            "update of site 'west' lacks array 'seen'",
        ),
        (update("west", arrays_of(1), -1.0), "update of site 'west' has weight -1.0"),
        (update("west", arrays_of(1), float("nan")), "update of site 'west' has weight nan"),
        (update("east", arrays_of(1)), "two updates of site 'east'"),
        (update("west", NAN, 0.0), "array 'head' of site 'west' holds 1"),
    ],
)
def test_bad_updates_are_refused_in_one_sentence(name: str, bad: SiteUpdate, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        AGGREGATION[name]().step(GlobalState(arrays_of(0)), [update("east", arrays_of(1)), bad])


@pytest.mark.parametrize(
    ("name_", "arguments"),
    [
        ("fedprox", {"mu": -0.1}),
        ("fedprox", {"mu": float("nan")}),
        ("fedadam", {"beta1": 1.0}),
        ("fedadam", {"beta2": -0.1}),
        ("fedadam", {"tau": 0.0}),
        ("fedadam", {"server_learning_rate": float("inf")}),
    ],
)
def test_arguments_out_of_range_are_refused(name_: str, arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(arguments))} = .*accepted is"):
        AGGREGATION[name_](**arguments)
