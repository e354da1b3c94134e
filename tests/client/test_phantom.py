"""The phantom: deterministic, patients whole, sites that differ, classes that can be learnt."""

from itertools import pairwise

import numpy as np
import pytest

from client.cases import Cases, CasesError, open_cases
from client.cases.phantom import SHARES, phantom
from protocol.sections import ClassName, Task


def task(names: tuple[str, ...] = ("no opacity", "opacity"), multi: bool = False) -> Task:
    return Task(
        kind="multi-label" if multi else "single-label",
        classes=tuple(ClassName(name=n, definition="d") for n in names),
    )


@pytest.fixture(scope="module")
def cases() -> Cases:
    return phantom((1, 28, 28), 2, seed=0)


def test_same_seed_same_bits(cases: Cases) -> None:
    assert open_cases("phantom", task(), 0).digest == cases.digest
    assert phantom((1, 28, 28), 2, seed=1).digest != cases.digest


def test_splits_sites_and_patients(cases: Cases) -> None:
    assert len(cases) == 2600
    assert cases.sites is not None
    assert set(cases.sites) == {"site-01", "site-02", "site-03", "site-04"}
    for split, share in SHARES.items():
        assert len(cases.rows(split)) / len(cases) == pytest.approx(share, abs=0.03)
    whole = set(zip(cases.patients, cases.splits, cases.sites, strict=True))
    assert len(whole) == len(set(cases.patients))
    images = np.unique(cases.patients, return_counts=True)[1]
    assert set(images) == {1, 2, 3}


def test_both_classes_in_every_split_of_every_site_and_prevalence_differs(cases: Cases) -> None:
    assert cases.targets is not None
    assert cases.sites is not None
    sites, splits = np.array(cases.sites), np.array(cases.splits)
    for site in set(cases.sites):
        for split in SHARES:
            assert cases.targets[(sites == site) & (splits == split)].any(axis=0).all()
    rates = sorted(float(cases.targets[sites == s, 1].mean()) for s in set(cases.sites))
    assert all(b - a > 0.03 for a, b in pairwise(rates))


def test_sites_look_different(cases: Cases) -> None:
    sites = np.array(cases.sites)
    means = [float(cases.images[sites == s].mean()) for s in sorted(set(sites))]
    assert max(means) - min(means) > 2


def test_opacities_brighten_lungs_but_no_threshold_finds_them(cases: Cases) -> None:
    assert cases.targets is not None
    truth = cases.targets[:, 1].astype(bool)
    lungs = cases.images[:, 0, 8:19, 5:23].mean(axis=(1, 2))
    body = cases.images.mean(axis=(1, 2, 3))
    score = lungs - body
    better = (score[truth][:, None] > score[~truth][None]).mean()
    assert 0.55 < better < 0.9


@pytest.mark.parametrize("image", [(3, 28, 28), (1, 40, 56), (1, 8, 8)])
def test_any_shape(image: tuple[int, int, int]) -> None:
    made = phantom(image, 2, seed=3, cases=80, sites=2)
    assert made.images.shape == (80, *image)
    assert (made.images == made.images[:, :1]).all()
    assert made.images.std() > 20


def test_other_tasks_are_refused() -> None:
    with pytest.raises(CasesError, match="phantom: 3 classes were asked for; accepted are 2"):
        open_cases("phantom", task(("a", "b", "c")), 0)
    with pytest.raises(CasesError, match="a multi-label task was asked for"):
        open_cases("phantom", task(multi=True), 0)
    with pytest.raises(CasesError, match="19 cases for 1 sites"):
        phantom((1, 28, 28), 2, seed=0, cases=19, sites=1)
