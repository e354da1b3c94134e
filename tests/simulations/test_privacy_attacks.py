"""Attacks on privacy: what they find where nothing protects, and where something is broken."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from client.privacy.dp_sgd import Planted
from protocol.study import load
from simulations.attacks.privacy.bounds import epsilon_of, gaussian_bound, general_bound, judged
from simulations.attacks.privacy.canaries import Audit, audit, charged
from simulations.attacks.privacy.membership import (
    Membership,
    membership,
    targets_of,
    told_apart,
)
from simulations.attacks.privacy.released import audit_reports
from simulations.plan import PlanError, plan_of
from simulations.simulate import simulate
from simulations.studies import committed


def test_attack_bounds_agree_with_closed_forms() -> None:
    # mu = 1: the classical profile of the Gaussian mechanism, computed from its integral
    t = np.linspace(-12, 12, 2_000_001)
    density = np.exp(-(t**2) / 2) / math.sqrt(2 * math.pi)
    for epsilon in (0.5, 2.0):
        # log-likelihood ratio of N(1, 1) to N(0, 1) at t + 1 is t + 1/2
        beyond = np.maximum(0.0, 1 - np.exp(epsilon - (t + 0.5)))
        delta = float((density * beyond).sum() * (t[1] - t[0]))
        assert epsilon_of(1.0, delta) == pytest.approx(epsilon, abs=1e-3)
    assert epsilon_of(0.0, 1e-5) == 0.0
    # without delta the general bound is Clopper and Pearson's on e^eps / (1 + e^eps)
    from scipy.stats import beta

    share = float(beta.ppf(0.05, 80, 21))
    wanted = math.log(share / (1 - share))
    assert general_bound(80, 100, 100, 0.0) == pytest.approx(wanted, abs=1e-4)
    assert general_bound(80, 100, 10_000, 1e-4) < wanted - 0.1
    assert general_bound(50, 100, 100, 1e-5) == 0.0
    assert gaussian_bound(500, 1000, 1e-5) == 0.0


@pytest.mark.slow
def test_attack_bounds_are_seldom_above_the_truth() -> None:
    rng = np.random.default_rng(4)
    above = 0
    for _ in range(200):
        inside = rng.random(1000) < 0.5
        found = judged(rng.standard_normal(1000) + 0.5 * inside, inside, 0.0, 1e-5)
        above += found.gaussian > epsilon_of(0.5, 1e-5)
    assert above <= 18  # one in twenty, and three deviations


def test_dp_sgd_audit_is_of_what_the_account_sells_for_epsilon_1() -> None:
    schedule, claimed, delta = charged(Audit())
    assert (claimed, delta) == (pytest.approx(1.0, abs=1e-3), 1e-5)
    assert (schedule.steps, schedule.share, schedule.expected) == (8, 0.5, 2500)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_dp_sgd_canary_audit_stays_below_the_account_and_finds_planted_faults(seed: int) -> None:
    sound = Audit(seed=seed)
    found = audit(sound)
    assert found.holds
    assert found.gaussian > 0.3  # an audit that sees nothing would hold, too
    for planted in (Planted(noise=0.5), Planted(clipping=False)):
        broken = audit(replace(sound, planted=planted))
        assert not broken.holds
        assert broken.gaussian > 1.25


@pytest.mark.slow
def test_privacy_account_audit_of_reports_stays_below_the_charge_and_finds_halved_noise(
    tmp_path: Path,
) -> None:
    found = audit_reports(tmp_path / "sound")
    assert found.claimed == pytest.approx(1.0, abs=1e-3)
    assert found.holds
    assert found.gaussian > 0.3
    broken = audit_reports(tmp_path / "broken", noise=0.5)
    assert broken.claimed == found.claimed
    assert not broken.holds
    assert broken.gaussian > 1.25


def test_attack_of_membership_by_hand() -> None:
    found = told_apart(np.array([0.1, 0.2, 0.5]), np.array([0.3, 0.4]))
    assert found == Membership(3, 2, pytest.approx(4 / 6), pytest.approx(2 / 3))
    assert told_apart(np.ones(4), np.ones(5)).auc == 0.5


@pytest.mark.slow
def test_attack_of_membership_on_a_finished_run_tells_members_of_a_model_that_learnt_them_by_heart(
    tmp_path: Path,
) -> None:
    sets = ["simulation.sites=2", "budget.total=24", "budget.per_cycle=24", "budget.first=24"]
    sets += ["training.rounds_per_cycle=10", "training.min_steps=40"]
    study = load(committed()["demo"], sets)
    simulate(plan_of(study, "phantom", ["random"], [0]), tmp_path, lambda task, event: None)
    targets = targets_of(tmp_path)
    found = membership(tmp_path, "random", 0, targets)
    assert 0 < found.members <= 24 < found.others
    assert found.auc > 0.6
    with pytest.raises(PlanError, match="no finished run of arm 'entropy'"):
        membership(tmp_path, "entropy", 0, targets)
