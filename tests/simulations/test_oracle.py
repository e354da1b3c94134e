"""The oracle: no truth without a count, no reading beyond the budget, no test truth to readers."""

import numpy as np
import pytest

from client.cases import Cases
from client.cases.phantom import phantom
from protocol.records import Indices
from simulations.oracle import BudgetOverdrawn, Oracle, UnknownCase
from simulations.splits import split_sites


@pytest.fixture(scope="module")
def cases() -> Cases:
    return phantom((1, 8, 8), 2, seed=0, cases=120, sites=2)


@pytest.fixture(scope="module")
def sites(cases: Cases) -> dict[str, Indices]:
    return split_sites(cases, "site", 2, np.random.default_rng(0))


def keys(cases: Cases, rows: Indices, split: str) -> list[str]:
    return [cases.keys[i] for i in rows if cases.splits[i] == split]


def test_a_look_is_the_truth_and_is_counted(cases: Cases, sites: dict[str, Indices]) -> None:
    oracle = Oracle(cases, sites, allowance=10)
    assert cases.targets is not None
    for n, key in enumerate(keys(cases, sites["site-01"], "pool")[:5], start=1):
        assert np.array_equal(oracle.look("site-01", key), cases.targets[cases.keys.index(key)])
        assert oracle.counts() == {"reading": n, "bound": 0, "locked": 0}


def test_the_same_case_counts_for_every_reader_and_overdrawing_raises(
    cases: Cases, sites: dict[str, Indices]
) -> None:
    oracle = Oracle(cases, sites, allowance=2)
    first = keys(cases, sites["site-01"], "pool")[0]
    oracle.look("site-01", first)
    oracle.look("site-01", first)
    with pytest.raises(BudgetOverdrawn, match="reading 3 was asked for; accepted are 2"):
        oracle.look("site-01", first)
    with pytest.raises(BudgetOverdrawn):
        oracle.look("site-02", keys(cases, sites["site-02"], "pool")[0])
    assert oracle.counts()["reading"] == 2


@pytest.mark.parametrize("split", ["val", "test"])
def test_readers_see_the_pool_alone(cases: Cases, sites: dict[str, Indices], split: str) -> None:
    oracle = Oracle(cases, sites, allowance=10)
    hidden = keys(cases, sites["site-01"], split)[0]
    elsewhere = keys(cases, sites["site-02"], "pool")[0]
    for key in (hidden, elsewhere, "nobody"):
        with pytest.raises(UnknownCase) as caught:
            oracle.look("site-01", key)
        assert key not in str(caught.value)
    with pytest.raises(UnknownCase):
        oracle.look("site-09", elsewhere)
    assert oracle.counts()["reading"] == 0


def test_bound_and_locked_are_counted_apart_and_need_no_allowance(
    cases: Cases, sites: dict[str, Indices]
) -> None:
    oracle = Oracle(cases, sites, allowance=0)
    assert cases.targets is not None
    pool, test = (keys(cases, sites["site-02"], s) for s in ("pool", "test"))
    revealed, locked = oracle.reveal("site-02"), oracle.locked("site-02")
    assert sorted(revealed) == sorted(pool)
    assert sorted(locked) == sorted(test)
    for key, truth in {**revealed, **locked}.items():
        assert np.array_equal(truth, cases.targets[cases.keys.index(key)])
    oracle.locked("site-02")
    assert oracle.counts() == {"reading": 0, "bound": len(pool), "locked": 2 * len(test)}


def test_truths_cannot_be_changed(cases: Cases, sites: dict[str, Indices]) -> None:
    oracle = Oracle(cases, sites, allowance=1)
    with pytest.raises(ValueError, match="read-only"):
        oracle.look("site-01", keys(cases, sites["site-01"], "pool")[0])[0] = 7


def test_a_continued_run_takes_its_count_with_it(cases: Cases, sites: dict[str, Indices]) -> None:
    oracle = Oracle(cases, sites, allowance=5)
    oracle.restore(4)
    key = keys(cases, sites["site-01"], "pool")[0]
    oracle.look("site-01", key)
    with pytest.raises(BudgetOverdrawn):
        oracle.look("site-01", key)
    with pytest.raises(ValueError, match="4 readings to restore; accepted is at least 5"):
        oracle.restore(4)
    with pytest.raises(BudgetOverdrawn):
        oracle.restore(6)
    assert oracle.counts()["reading"] == 5


def test_an_oracle_needs_truths(cases: Cases, sites: dict[str, Indices]) -> None:
    with pytest.raises(ValueError, match="cases without labels"):
        Oracle(cases.without_truth(), sites, allowance=1)
    with pytest.raises(ValueError, match="an allowance of -1 readings"):
        Oracle(cases, sites, allowance=-1)
