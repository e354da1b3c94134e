"""The cases of each track, built from public files; the split scored on is called "test"."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client.cases.cases import Cases, Split
from client.cases.open import open_cases
from protocol.records import Indices
from protocol.sections import Task
from protocol.seeds import Purpose, generator
from protocol.study import Study
from simulations.scanners import Scanner
from simulations.splits import split_sites

LEAST = 60
"""Pool cases that every site has at least."""

RARE = 243
"""Pneumonias that track B keeps: one case in six."""

SCANNERS: tuple[Scanner, ...] = (
    Scanner(),
    Scanner(gamma=0.67, contrast=1.15, seed=1),
    Scanner(gamma=1.5, contrast=0.8, seed=2),
    Scanner(blur=0.03, noise=0.02, seed=3),
    Scanner(coarse=2, contrast=0.6, seed=4),
    Scanner(gamma=1.2, noise=0.05, seed=5),
)
"""The six machines of track B, the same for every seed."""

_DRAWS = 1000


def official(file: Path, study: Study, seed: int, scored_on: Split) -> Cases:
    """The pool and the scored split of a MedMNIST file; the study's own split makes the sites."""
    return _scored(_opened(file, study.task), scored_on)


def shifted(file: Path, study: Study, seed: int, scored_on: Split) -> Cases:
    """Track B: rare pneumonia at six sites with a machine each; every test image at every site.

    The pool's sites have Dirichlet(1) shares of each class. Test images are as many of either
    class, each a case of its own through each of the six machines.
    """
    cases = _rare(file, study.task)
    pool = cases.take(cases.rows("pool"))
    rows = _dealt(pool, seed)
    parts = [
        _at_site(pool.take(own), name, SCANNERS[number], "")
        for number, (name, own) in enumerate(rows.items())
    ]
    return together([*parts, *_everywhere(file, study.task, scored_on)])


def _dealt(pool: Cases, seed: int) -> dict[str, Indices]:
    """The first of some draws that leaves every site enough cases."""
    for draw in range(_DRAWS):
        rng = generator(seed, -1, 0, draw, Purpose.SPLIT)
        rows = split_sites(pool, "dirichlet:1", len(SCANNERS), rng)
        if min(len(own) for own in rows.values()) >= LEAST:
            return rows
    raise ValueError(f"no draw of {_DRAWS} left every site {LEAST} cases of {len(pool)}")


@lru_cache(maxsize=2)
def _rare(file: Path, task: Task) -> Cases:
    """All normal images, a fixed sixth as pneumonias; val and test with as many of either class."""
    cases = _opened(file, task)
    assert cases.targets is not None  # noqa: S101 - the file has labels
    rng = np.random.default_rng(243)
    kept = []
    for split in ("pool", "val", "test"):
        rows = np.flatnonzero(np.asarray(cases.splits) == split)
        normal, sick = (rows[cases.targets[rows, c] == 1] for c in (0, 1))
        count = RARE if split == "pool" else len(normal)
        kept += [normal, np.sort(rng.choice(sick, count, replace=False))]
    return cases.take(np.concatenate(kept))


@lru_cache(maxsize=2)
def _everywhere(file: Path, task: Task, scored_on: Split) -> tuple[Cases, ...]:
    """The scored cases as each of the six machines shows them."""
    cases = _scored(_rare(file, task), scored_on)
    cases = cases.take(cases.rows("test"))
    return tuple(
        _at_site(cases, f"site-{number + 1:02d}", machine, f".{number + 1}")
        for number, machine in enumerate(SCANNERS)
    )


def _at_site(cases: Cases, name: str, machine: Scanner, suffix: str) -> Cases:
    """These cases at one site, as its machine shows them."""
    return replace(
        cases,
        keys=tuple(key + suffix for key in cases.keys),
        patients=tuple(patient + suffix for patient in cases.patients),
        sites=(name,) * len(cases),
        images=machine.apply(cases.images),
    )


def hospitals(file: Path, study: Study, seed: int, scored_on: Split) -> Cases:
    """Track C: the heart-disease table, a natural site for each of its four hospitals.

    Missing values become the median of the training rows; columns are standardised by the training
    rows, cut at three standard deviations, and stand in the first pixels of an image.
    """
    with np.load(file, allow_pickle=False) as table:
        x, y = table["X"].astype(np.float64), table["y"].astype(np.int64)
        site, split = table["site"], table["split"]
        names = [str(name) for name in table["site_names"]]
    splits: tuple[Split, ...] = tuple(("pool", "val", "test")[int(s)] for s in split)
    keys = tuple(f"row-{i:04d}" for i in range(len(x)))
    cases = Cases(
        keys=keys,
        patients=keys,
        clustered=False,
        splits=splits,
        sites=tuple(names[int(s)] for s in site),
        targets=np.eye(2, dtype=np.uint8)[y],
        images=as_images(imputed(x, split == 0), study.task.image),
    )
    return _scored(cases, scored_on)


def imputed(x: NDArray[np.float64], training: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(n, d) standardised by the training rows, NaN replaced by their medians beforehand."""
    filled = np.where(np.isnan(x), np.nanmedian(x[training], axis=0), x)
    spread = filled[training].std(axis=0)
    shown: NDArray[np.float64] = (filled - filled[training].mean(axis=0)) / np.where(
        spread > 0, spread, 1.0
    )
    return shown


def as_images(z: NDArray[np.float64], image: tuple[int, int, int]) -> NDArray[np.uint8]:
    """(n, d) standardised numbers as the first d pixels of (n, *image); the others are mid-gray.

    A pixel's step is 6/254 of a standard deviation.
    """
    flat = np.full((len(z), int(np.prod(image))), 128, dtype=np.uint8)
    flat[:, : z.shape[1]] = np.rint(128 + np.clip(z, -3, 3) * 127 / 3)
    return flat.reshape(len(z), *image)


Build = Callable[[Path, Study, int, Split], Cases]


@lru_cache(maxsize=2)
def _opened(file: Path, task: Task) -> Cases:
    return open_cases(str(file), task, 0)


def _scored(cases: Cases, scored_on: Split) -> Cases:
    """The pool and one of val and test, which is then called test."""
    other = "val" if scored_on == "test" else "test"
    kept = cases.take([i for i, s in enumerate(cases.splits) if s != other])
    splits: tuple[Split, ...] = tuple("pool" if s == "pool" else "test" for s in kept.splits)
    return replace(kept, splits=splits)


def together(parts: list[Cases]) -> Cases:
    """The cases of all parts, in that order; each part has sites and labels."""
    targets = [part.targets for part in parts if part.targets is not None]
    return Cases(
        keys=tuple(key for part in parts for key in part.keys),
        patients=tuple(patient for part in parts for patient in part.patients),
        clustered=all(part.clustered for part in parts),
        splits=tuple(split for part in parts for split in part.splits),
        sites=tuple(site for part in parts for site in part.sites or ()),
        targets=np.concatenate(targets),
        images=np.concatenate([part.images for part in parts]),
    )
