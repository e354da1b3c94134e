"""Membership of one patient in the counts that a private study's report tells, many times over."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np

from client.home import HomeConfig, make_home
from client.keys import SiteKey
from client.opening import open_home
from client.privacy import statistics
from client.privacy.account import PrivacyAccount, Wanted
from client.privacy.accounting import Cost
from client.privacy.chance import Chance, discrete_gaussian
from client.privacy.spending import POOL
from client.privacy.statistics import private_report
from client.scored_pool import ScoredPool
from client.site import Arrival, Site, enrol
from protocol.records import StepKey
from protocol.study import Study, parse
from simulations.attacks.privacy.bounds import Found, judged

_PATIENTS = 50
"""Of the site that has not the one: far from the 10 under which nothing is told."""


def audit_reports(
    folder: Path, *, draws: int = 6000, epsilon: float = 1.0, noise: float = 1.0, seed: int = 0
) -> Found:
    """Ask for reports of a site that has one patient more by a coin, each with fresh noise.

    One report spends the whole epsilon. The report is that of `client.privacy.statistics`, from a
    site's database with its charge.

    Args:
        folder: empty; two sites are made there.
        draws: how many reports, each with a coin of its own.
        epsilon: what one report spends.
        noise: planted fault: factor of the noise that is drawn; 1 where nothing is wrong.
        seed: of coins and noise.
    """
    study = _study(epsilon, seed)
    rng = np.random.default_rng(seed)
    inside = rng.random(draws) < 0.5
    with ExitStack() as open_, _planted(noise):
        asks, accounts = [], []
        for number, patients in enumerate((_PATIENTS, _PATIENTS + 1)):
            site = _site(folder / f"site-{number}", patients, study)
            open_.callback(site.store.close)
            accounts.append(_charged(site, study))
            asks.append(_reports(site, study))
        told = [asks[int(one)](draw) for draw, one in enumerate(inside)]
        claimed, delta = accounts[1].epsilon("training"), accounts[1].opened().delta
    scores = np.array(told) + rng.uniform(-0.5, 0.5, draws)  # equal counts are guessed by coin
    return judged(scores, inside, claimed, delta)


def _reports(site: Site, study: Study) -> Callable[[int], int]:
    """What the site says its pool has, with the noise of a draw; a simulated site's seeds it."""
    ids = site.store.cases.pool(study.identity, study.audit.patients, 0)
    scored = ScoredPool(study.identity, 0, ids)
    uncertain = np.zeros(len(ids))

    def ask(draw: int) -> int:
        return private_report(replace(site, number=draw), study, scored, uncertain).pool

    return ask


def _charged(site: Site, study: Study) -> PrivacyAccount:
    """The study's account, all of its epsilon charged for one report."""
    assert study.privacy is not None  # noqa: S101 - it was just written
    account = PrivacyAccount(site.store, study.identity, study.privacy)
    multiplier = math.sqrt(account.opened().order / (2 * account.room()))
    cost = Cost("gaussian", math.ceil(1000 * multiplier) / 1000)
    account.reserve(StepKey(study.identity, 0, "report"), [Wanted("training", POOL, cost)])
    return account


@contextmanager
def _planted(noise: float) -> Iterator[None]:
    """Within the block, noise of counts is drawn that much too narrow."""

    def narrow(deviation: float, source: Chance) -> int:
        return discrete_gaussian(noise * deviation, source)

    with patch.object(statistics, "discrete_gaussian", narrow):
        yield


def _site(home: Path, patients: int, study: Study) -> Site:
    """A simulated site with as many patients of one image each, which approved the study."""
    home.parent.mkdir(parents=True, exist_ok=True)
    np.save(home.parent / f"{home.name}.npy", np.zeros((patients, 1, 8, 8), dtype=np.uint8))
    images = f"../{home.name}.npy"
    config = HomeConfig(name=home.name, number=0, images=images, durable=False, allow_import=True)
    make_home(home, config)
    site = open_home(home)
    names = [f"case {i}" for i in range(patients)]
    arrival = Arrival(names, names, ["pool"] * patients, range(patients))
    enrol(site.store, SiteKey(b"k" * 32), arrival, clustered=True)
    with site.store.transaction():
        site.store.steps.approve(study, "0" * 64)  # no weights are asked for
    return site


def _study(epsilon: float, seed: int) -> Study:
    return parse(
        {
            "schema": 1,
            "name": "counts",
            "seed": seed,
            "task": {
                "image": [1, 8, 8],
                "classes": [{"name": n, "definition": n} for n in "ab"],
            },
            "network": {"name": "tiny-cnn"},
            "training": {"start": "warm"},
            "query": {"strategy": "entropy"},
            "audit": {"patients": 0.0},
            "privacy": {"epsilon": epsilon, "delta": 1e-5},
        }
    )
