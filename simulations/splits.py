"""How one source of cases is shared between simulated hospitals; a patient is at one only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from client.cases.cases import SPLITS, Cases
from protocol.records import Indices
from protocol.study import Study

Ints: TypeAlias = NDArray[np.int64]
Shares: TypeAlias = NDArray[np.float64]

MINIMUM_CASES = 20
MINIMUM_SHARE = 0.02
LARGEST_TO_SMALLEST = 10.0
_DRAWS = 100


class SplitError(ValueError):
    """A split that these cases do not allow, in one sentence."""


@dataclass(frozen=True, slots=True, eq=False)
class _Patients:
    """The patients of a source, numbered from 0; one entry of every field is one patient.

    Attributes:
        of_case: (cases,) the patient of every case.
        split: position in SPLITS, of the patient's first case.
        pool: how many pool cases.
        stratum: class that most of the cases belong to; 0 where labels are not asked for.
    """

    of_case: Ints
    split: Ints
    pool: Ints
    stratum: Ints


def split_sites(cases: Cases, how: str, sites: int, rng: np.random.Generator) -> dict[str, Indices]:
    """The rows of every site, of all splits, ascending: each row at one site, each patient at one.

    Every site has pool cases. Val and test are shared like the pool: in the same class proportions
    (dirichlet) or in the same size proportions (quantity).

    Args:
        cases: with labels for dirichlet, with a site column for site.
        how: "iid", equal sizes; "dirichlet:ALPHA", for every class one Dirichlet(ALPHA) draw says
            which share of its patients goes to which site (Hsu et al., arXiv 1909.06335; sizes
            stay unequal), drawn anew until every site has 20 pool cases and 2 % of the pool, or
            half the mean where that is less; "quantity", sizes log-uniform, at most 1 to 10;
            "site", the source's own column.
        sites: how many, named site-01 and on; not read by "site", which keeps the source's names
            (see `check_number`).
    Raises:
        SplitError: more sites than pool patients, no labels, no site column, an unknown `how`, or a
            natural site that shares a patient or has no pool.
    """
    if how == "site":
        return _natural(cases)
    kind, colon, alpha = how.partition(":")
    if kind not in ("iid", "quantity", "dirichlet") or bool(colon) != (kind == "dirichlet"):
        raise SplitError(f"split {how!r}: accepted is iid, dirichlet:ALPHA, quantity or site")
    patients = _patients(cases, by_class=kind == "dirichlet")
    there = int(np.count_nonzero(patients.split == 0))
    if not 1 <= sites <= there:
        raise SplitError(
            f"{sites} sites for {there} patients in the pool; accepted is 1 to {there}"
        )
    if kind == "dirichlet":
        at = _dirichlet(patients, _alpha(alpha), sites, rng)
    elif kind == "quantity":
        sizes = LARGEST_TO_SMALLEST ** rng.random(sites)
        at = _deal(patients, sizes[None] / sizes.sum(), rng)
    else:
        at = _deal(patients, np.full((1, sites), 1 / sites), rng)
    at = _fill(patients, at, sites, 1)
    site = at[patients.of_case]
    return {f"site-{k + 1:02d}": np.flatnonzero(site == k).astype(np.int64) for k in range(sites)}


def check_number(study: Study, asked: int | None, found: int) -> None:
    """Refuse another number of sites than the cases' own, where the study is split by them.

    Args:
        study: that was split.
        asked: see `number_asked`.
        found: how many sites the cases name.
    Raises:
        SplitError: another number was asked for.
    """
    if study.simulation.split == "site" and asked not in (None, found):
        raise SplitError(
            f"simulation.sites = {asked} with simulation.split = 'site': the cases name {found} "
            f"sites; accepted is {found}, or another split"
        )


def number_asked(study: Study, overrides: Sequence[str]) -> int | None:
    """How many sites a command asked for itself: a study's own number may be a mere default."""
    keys = [override.partition("=")[0].strip() for override in overrides]
    return study.simulation.sites if "simulation.sites" in keys else None


def _natural(cases: Cases) -> dict[str, Indices]:
    """Rows by the source's own site column, names sorted."""
    if cases.sites is None:
        raise SplitError(
            "split site: these cases name no site; accepted are a CSV with the column site or "
            "an npz with {train,val,test}_site"
        )
    pairs = set(zip(cases.patients, cases.sites, strict=True))
    if twice := len(pairs) - len(set(cases.patients)):
        raise SplitError(
            f"split site: {twice} times a patient is at more than one site; "
            "accepted is one site each"
        )
    column = np.asarray(cases.sites)
    found = {str(s): np.flatnonzero(column == s).astype(np.int64) for s in np.unique(column)}
    empty = len(found) - len({cases.sites[i] for i in cases.rows("pool")})
    if empty:
        raise SplitError(
            f"split site: {empty} sites have no case in the pool; accepted is at least one each"
        )
    return found


def _alpha(text: str) -> float:
    try:
        alpha = float(text)
    except ValueError:
        alpha = 0.0
    if not 0.01 <= alpha <= 1e6:
        raise SplitError(f"split dirichlet:{text}: accepted is a number from 0.01 to 1000000")
    return alpha


def _patients(cases: Cases, by_class: bool) -> _Patients:
    """The patients of the cases, with their strata where the split is by class."""
    _, first, of_case = np.unique(
        np.asarray(cases.patients), return_index=True, return_inverse=True
    )
    case_split = np.asarray([SPLITS.index(s) for s in cases.splits], dtype=np.int64)
    n = len(first)
    stratum = np.zeros(n, np.int64)
    if by_class:
        if cases.targets is None:
            raise SplitError(
                "split dirichlet: these cases have no labels; accepted are labeled ones"
            )
        of_class = _strata(cases.targets)
        counts = np.zeros((n, cases.targets.shape[1] + 1), np.int64)
        np.add.at(counts, (of_case, of_class), 1)
        stratum = counts.argmax(axis=1).astype(np.int64)
    pool = np.bincount(of_case, weights=case_split == 0, minlength=n).astype(np.int64)
    # a patient with any pool case counts as one of the pool
    split = np.where(pool > 0, 0, case_split[first])
    return _Patients(of_case.astype(np.int64), split.astype(np.int64), pool, stratum)


def _strata(targets: NDArray[np.uint8]) -> Ints:
    """(n,) the rarest class present in each case; one more number where none is."""
    counts = targets.sum(axis=0, dtype=np.int64)
    rarity = np.where(targets == 1, counts, counts.max(initial=0) + 1)
    strata: Ints = np.where(targets.any(axis=1), rarity.argmin(axis=1), targets.shape[1])
    return strata


def _deal(patients: _Patients, shares: Shares, rng: np.random.Generator) -> Ints:
    """(patients,) the site of each, so that in every split each site gets its share of cases.

    Args:
        shares: (strata, sites), rows sum to 1; one row serves all strata.
    """
    at = np.zeros(len(patients.split), np.int64)
    order = rng.permutation(len(at))
    sizes = np.bincount(patients.of_case)
    for split in np.unique(patients.split):
        for stratum in np.unique(patients.stratum):
            chosen = (patients.split == split) & (patients.stratum == stratum)
            rows = order[chosen[order]]
            if not len(rows):
                continue
            ends = np.cumsum(sizes[rows])
            middle = (ends - sizes[rows] / 2) / ends[-1]  # in (0, 1)
            edges = np.cumsum(shares[stratum if len(shares) > 1 else 0])
            at[rows] = np.minimum(np.searchsorted(edges, middle), shares.shape[1] - 1)
    return at


def _dirichlet(patients: _Patients, alpha: float, sites: int, rng: np.random.Generator) -> Ints:
    """Sites with label skew; the first of some draws whose smallest pool is large enough.

    Where none is, the last is mixed with equal shares, as little as suffices.
    """
    total = int(patients.pool.sum())
    wanted = max(MINIMUM_CASES, int(np.ceil(MINIMUM_SHARE * total)))
    least = max(1, min(wanted, total // (2 * sites)))
    strata = int(patients.stratum.max()) + 1
    for _ in range(_DRAWS):
        shares = rng.dirichlet(np.full(sites, alpha), size=strata)
        at = _deal(patients, shares, rng)
        if _pools(patients, at, sites).min() >= least:
            return at
    for mixed in np.linspace(0.05, 1, 20):
        at = _deal(patients, (1 - mixed) * shares + mixed / sites, rng)
        if _pools(patients, at, sites).min() >= least:
            break
    return _fill(patients, at, sites, least)


def _pools(patients: _Patients, at: Ints, sites: int) -> Ints:
    """(sites,) pool cases at each."""
    return np.bincount(at, weights=patients.pool, minlength=sites).astype(np.int64)


def _fill(patients: _Patients, at: Ints, sites: int, least: int) -> Ints:
    """The same sites, patients moved from the largest pool to the smallest while that is possible.

    No site is left without a pool patient.
    """
    at = at.copy()
    while True:
        pools = _pools(patients, at, sites)
        small = int(pools.argmin())
        if pools[small] >= least:
            return at
        donor = _donor(patients, at, pools, least if pools[small] else 1)
        if donor is None:
            return at
        at[donor] = small


def _donor(patients: _Patients, at: Ints, pools: Ints, keep: int) -> int | None:
    """The smallest pool patient of the largest site that keeps `keep` pool cases without it."""
    for site in np.argsort(-pools, kind="stable"):
        rows = np.flatnonzero((at == site) & (patients.pool > 0))
        movable = rows[pools[site] - patients.pool[rows] >= keep]
        if len(movable):
            return int(movable[patients.pool[movable].argmin()])
    return None
