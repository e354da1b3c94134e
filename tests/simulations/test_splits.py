"""Splits over sites: every row once, no patient twice, the skew that was asked for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from client.cases import Cases
from client.cases.cases import SPLITS, Split
from client.cases.phantom import phantom
from simulations.splits import SplitError, split_sites

HOWS = ("iid", "quantity", "dirichlet:0.1", "dirichlet:1", "dirichlet:100")


def make(
    splits: NDArray[np.int64],
    patients: NDArray[np.int64],
    classes: NDArray[np.int64],
    number: int = 2,
) -> Cases:
    n = len(splits)
    names: tuple[Split, ...] = tuple(SPLITS[i] for i in splits)
    return Cases(
        keys=tuple(f"case-{i}" for i in range(n)),
        patients=tuple(f"patient-{i}" for i in patients),
        clustered=True,
        splits=names,
        sites=None,
        targets=np.eye(number, dtype=np.uint8)[classes],
        images=np.zeros((n, 1, 1, 1), np.uint8),
    )


def many(n: int = 1500, positive: float = 0.3, seed: int = 0) -> Cases:
    """Two thirds pool, one third test, one case for each patient."""
    rng = np.random.default_rng(seed)
    return make(
        np.where(np.arange(n) % 3 == 2, 2, 0),
        np.arange(n),
        (rng.random(n) < positive).astype(np.int64),
    )


def rates(cases: Cases, sites: dict[str, NDArray[np.int64]], split: Split) -> list[float]:
    """Share of class 1 at every site."""
    assert cases.targets is not None
    wanted = np.array(cases.splits) == split
    return [float(cases.targets[rows[wanted[rows]], 1].mean()) for rows in sites.values()]


def pools(cases: Cases, sites: dict[str, NDArray[np.int64]]) -> list[int]:
    wanted = np.array(cases.splits) == "pool"
    return [int(wanted[rows].sum()) for rows in sites.values()]


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    how=st.sampled_from(HOWS),
    people=st.integers(1, 60),
    sites=st.integers(1, 12),
    consistent=st.booleans(),
)
def test_every_row_once_no_patient_twice_no_site_without_a_pool(
    seed: int, how: str, people: int, sites: int, consistent: bool
) -> None:
    rng = np.random.default_rng(seed)
    patients = rng.permutation(np.repeat(np.arange(people), rng.integers(1, 5, people)))
    splits = (
        rng.integers(0, 3, people)[patients] if consistent else rng.integers(0, 3, len(patients))
    )
    cases = make(splits, patients, rng.integers(0, 3, len(patients)), 3)
    there = len(set(patients[splits == 0].tolist()))
    if sites > there:
        with pytest.raises(SplitError, match=f"{sites} sites for {there} patients in the pool"):
            split_sites(cases, how, sites, rng)
        return
    made = split_sites(cases, how, sites, rng)
    assert list(made) == [f"site-{i + 1:02d}" for i in range(sites)]
    assert sorted(np.concatenate(list(made.values())).tolist()) == list(range(len(cases)))
    homes = {(cases.patients[i], name) for name, rows in made.items() for i in rows}
    assert len(homes) == people
    assert min(pools(cases, made)) >= 1


@pytest.mark.parametrize("how", HOWS)
def test_same_generator_same_split(how: str) -> None:
    cases = many()
    a, b, c = (split_sites(cases, how, 6, np.random.default_rng(s)) for s in (5, 5, 6))
    assert all(np.array_equal(a[k], b[k]) for k in a)
    assert not all(np.array_equal(a[k], c[k]) for k in a)


def test_iid_is_even_in_size_in_every_split() -> None:
    cases = many()
    made = split_sites(cases, "iid", 7, np.random.default_rng(0))
    for split in ("pool", "test"):
        counts = [sum(cases.splits[i] == split for i in rows) for rows in made.values()]
        assert max(counts) - min(counts) <= 1


def test_quantity_is_uneven_up_to_ten_to_one() -> None:
    cases = many(6000)
    spread = []
    for seed in range(10):
        made = split_sites(cases, "quantity", 6, np.random.default_rng(seed))
        counts = pools(cases, made)
        spread.append(max(counts) / min(counts))
        assert spread[-1] <= 10.2  # whole cases round a little
        tests = [len(rows) - pool for rows, pool in zip(made.values(), counts, strict=True)]
        assert tests == pytest.approx([c / 2 for c in counts], abs=2)
    assert max(spread) > 4


def test_dirichlet_skews_more_with_a_smaller_alpha_and_test_like_pool() -> None:
    cases = many(3000)
    widths = []
    for alpha in (0.1, 1.0, 100.0):
        spans = []
        for seed in range(5):
            made = split_sites(cases, f"dirichlet:{alpha}", 5, np.random.default_rng(seed))
            assert min(pools(cases, made)) >= 40  # 2 % of 2000
            pool, test = rates(cases, made, "pool"), rates(cases, made, "test")
            assert test == pytest.approx(pool, abs=0.12)
            spans.append(max(pool) - min(pool))
        widths.append(float(np.mean(spans)))
    assert widths[0] > widths[1] > widths[2]
    assert widths[0] > 0.5
    assert widths[2] < 0.15


def test_dirichlet_keeps_a_least_pool_at_many_sites() -> None:
    cases = many(3000)
    made = split_sites(cases, "dirichlet:0.1", 100, np.random.default_rng(0))
    assert min(pools(cases, made)) >= 10  # half the mean, since 100 x 40 are not there


def test_natural_sites_keep_their_names() -> None:
    cases = phantom((1, 8, 8), 2, seed=0, cases=200, sites=3)
    made = split_sites(cases, "site", 99, np.random.default_rng(0))
    assert list(made) == ["site-01", "site-02", "site-03"]
    assert cases.sites is not None
    for name, rows in made.items():
        assert {cases.sites[i] for i in rows} == {name}
    assert sum(len(rows) for rows in made.values()) == 200


def test_impossible_splits_are_refused() -> None:
    cases, rng = many(30), np.random.default_rng(0)
    with pytest.raises(SplitError, match="split site: these cases name no site"):
        split_sites(cases, "site", 2, rng)
    with pytest.raises(
        SplitError, match="0 sites for 20 patients in the pool; accepted is 1 to 20"
    ):
        split_sites(cases, "iid", 0, rng)
    with pytest.raises(SplitError, match="these cases have no labels"):
        split_sites(cases.without_truth(), "dirichlet:1", 2, rng)
    for how in ("dirichlet", "dirichlet:", "dirichlet:0", "dirichlet:nan", "iid:3", "random"):
        with pytest.raises(SplitError, match=f"split '?{how}.*accepted is"):
            split_sites(cases, how, 2, rng)


def test_natural_sites_that_share_a_patient_or_have_no_pool_are_refused() -> None:
    from dataclasses import replace

    rng = np.random.default_rng(0)
    cases = make(np.array([0, 0, 2]), np.array([7, 7, 8]), np.array([0, 1, 0]))
    with pytest.raises(SplitError, match="1 times a patient is at more than one site") as caught:
        split_sites(replace(cases, sites=("a", "b", "b")), "site", 2, rng)
    assert "patient-7" not in str(caught.value)
    with pytest.raises(SplitError, match="1 sites have no case in the pool"):
        split_sites(replace(cases, sites=("a", "a", "b")), "site", 2, rng)
