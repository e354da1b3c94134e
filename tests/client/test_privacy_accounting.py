"""Rényi accounting: values by hand, published ones, and those of Opacus."""

from __future__ import annotations

import math

import pytest

from client.privacy.account import due_delta
from client.privacy.accounting import (
    ORDERS,
    Cost,
    best_order,
    epsilon,
    gaussian,
    noise_for,
    room,
    subsampled,
)
from protocol.privacy import Privacy


def test_privacy_account_the_plain_gaussian_is_what_the_formula_says_by_hand() -> None:
    # order 4, noise 2: 4 / (2 * 4) = 0.5 nats; plus log(3/4) - (log 1e-5 + log 4) / 3
    assert gaussian(2.0, 4.0) == pytest.approx(0.5)
    by_hand = 0.5 + math.log(0.75) + (math.log(1e5) - math.log(4)) / 3
    assert epsilon(0.5, 4.0, 1e-5) == pytest.approx(by_hand) == pytest.approx(3.5879, abs=1e-3)
    assert epsilon(0.0, 4.0, 1e-5) == 0
    assert room(by_hand, 4.0, 1e-5) == pytest.approx(0.5)


@pytest.mark.slow
def test_privacy_account_a_published_subsampled_value() -> None:
    """Flower's notes tried Opacus with (1.1, 0.1, 10) then 20 steps: 2.84 then 3.50 at 1e-5."""
    both = []
    for steps in (10, 20):
        costs = {a: Cost("dp-sgd", 1.1, 0.1, steps).rdp(a) for a in ORDERS}
        both.append(min(epsilon(rdp, a, 1e-5) for a, rdp in costs.items()))
    assert both == [pytest.approx(2.84, abs=0.03), pytest.approx(3.50, abs=0.03)]


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.01, 0.2, 0.9])
@pytest.mark.parametrize("noise", [0.6, 1.0, 5.0])
def test_privacy_account_agrees_with_opacus(share: float, noise: float) -> None:
    analysis = pytest.importorskip("opacus.accountants.analysis.rdp")
    orders = [1.25, 2.0, 3.75, 7.5, 16.0, 64.0]
    wanted = analysis.compute_rdp(q=share, noise_multiplier=noise, steps=1, orders=orders)
    assert [subsampled(share, noise, a) for a in orders] == pytest.approx(list(wanted), rel=1e-6)


def test_privacy_account_noise_for_a_target_is_the_least_that_meets_it() -> None:
    noise = noise_for(0.5, 0.1, 100, 8.0)
    assert Cost("dp-sgd", noise, 0.1, 100).rdp(8.0) <= 0.5
    assert Cost("dp-sgd", noise - 0.001, 0.1, 100).rdp(8.0) > 0.5
    with pytest.raises(ValueError, match="accepted is one that noise can meet"):
        noise_for(0.0, 0.1, 1, 8.0)


def test_privacy_account_delta_is_at_most_one_in_ten_patients() -> None:
    for patients in (1, 9, 60, 100, 1234):
        assert due_delta(Privacy(), patients) <= 1 / (10 * patients)
    assert due_delta(Privacy(delta=1e-7), 60) == 1e-7
    assert due_delta(Privacy(delta=5e-3), 60) == 1e-3


@pytest.mark.slow
def test_privacy_account_one_order_for_the_filter_loses_little() -> None:
    for budget in (1.0, 3.0, 8.0):
        order = best_order(budget, 1e-4)
        noise = noise_for(room(budget, order, 1e-4), 0.1, 500, order)
        free = min(epsilon(Cost("dp-sgd", noise, 0.1, 500).rdp(a), a, 1e-4) for a in ORDERS)
        assert free > 0.97 * budget
