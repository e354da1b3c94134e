"""The site's own last layer: where it starts, that it is the best, and what it costs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies.pool import NotFinite, Pool
from strategies.query.refit import PULL, fit, own_probabilities, said


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def pool_of(n: int, m: int, d: int = 4, classes: int = 3, seed: int = 0) -> Pool:
    r = rng(seed)
    signals: dict[str, Any] = {
        "features": r.standard_normal((n, d)),
        "labeled_features": r.standard_normal((m, d)),
        "labeled_targets": np.eye(classes)[r.integers(classes, size=m)],
        "head_weights": r.standard_normal((classes, d)),
        "head_bias": r.standard_normal(classes),
    }
    return Pool(n, signals)


@pytest.mark.parametrize("multi_label", [False, True])
def test_without_labels_it_says_what_the_global_model_says(multi_label: bool) -> None:
    pool = pool_of(7, 0)
    s = pool.signals
    logits = s["features"] @ s["head_weights"].T + s["head_bias"]
    e = np.exp(logits)
    wanted = e / (1 + e) if multi_label else e / e.sum(axis=1, keepdims=True)
    found = own_probabilities(Pool(7, s, multi_label))
    assert found == pytest.approx(wanted)


def test_by_hand_with_nothing_but_a_bias() -> None:
    # three labels of the first class: 3 log(1 + exp(b - a)) + 0.05 (a^2 + b^2), where a = -b
    found = fit(np.ones((3, 1)), np.array([[1.0, 0.0]] * 3), np.zeros((2, 1)), multi_label=False)
    steps = np.linspace(0, 5, 500001)
    best = steps[(3 * np.log1p(np.exp(-2 * steps)) + PULL * steps**2).argmin()]
    assert found[:, 0] == pytest.approx([best, -best], abs=1e-3)


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.booleans())
def test_no_layer_near_it_is_better(seed: int, multi_label: bool) -> None:
    r = rng(seed)
    x, start = r.standard_normal((9, 4)), r.standard_normal((3, 4))
    y = np.eye(3)[r.integers(3, size=9)]

    def loss(layer: Any) -> float:
        p = said(x @ layer.T, multi_label=multi_label)
        one = -(y * np.log(p)).sum()
        other = -((1 - y) * np.log(1 - p)).sum() if multi_label else 0.0
        return float(one + other + PULL / 2 * ((layer - start) ** 2).sum())

    found = fit(x, y, start, multi_label=multi_label)
    for _ in range(20):
        assert loss(found) <= loss(found + 0.03 * r.standard_normal(found.shape)) + 1e-6


@pytest.mark.parametrize(
    ("name", "wrong"), [("head_weights", np.ones((3, 5))), ("labeled_targets", np.ones((5, 2)))]
)
def test_shapes_that_do_not_fit_are_refused(name: str, wrong: Any) -> None:
    pool = pool_of(6, 5)
    with pytest.raises(ValueError, match=f"'{name}' has shape"):
        own_probabilities(Pool(6, {**pool.signals, name: wrong}))


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("labels", [0, 5])
@pytest.mark.parametrize(
    ("weights", "features", "labeled"),
    [(1e20, 1e19, 1e19), (0.0, 1e30, 1e30), (1.0, 1e30, 1e-30)],
    ids=["their product", "the spread, times 0", "the spread alone"],
)
def test_a_layer_that_overflows_the_features_precision_is_refused(
    weights: float, features: float, labeled: float, labels: int, multi_label: bool
) -> None:
    signals = dict(pool_of(6, labels).signals)
    scales = {"head_weights": weights, "features": features, "labeled_features": labeled}
    for name, scale in scales.items():
        signals[name] = (signals[name] * scale).astype(np.float32)
    with pytest.raises(NotFinite, match="overflows float32"):
        own_probabilities(Pool(6, signals, multi_label))


@pytest.mark.parametrize("multi_label", [False, True])
def test_labels_too_far_from_the_pool_s_spread_are_refused(multi_label: bool) -> None:
    signals = dict(pool_of(6, 5).signals)
    signals["features"] = signals["features"] * 1e-100
    signals["labeled_features"] = signals["labeled_features"] * 1e300
    with pytest.raises(NotFinite, match="spread overflows float64"):
        own_probabilities(Pool(6, signals, multi_label))


def test_a_layer_too_steep_for_any_precision_is_refused() -> None:
    signals = dict(pool_of(6, 0).signals)
    signals["head_weights"] = np.full((3, 4), 1e308)
    signals["features"] = np.tile([[1.0], [-1.0]], (3, 4))
    with pytest.raises(NotFinite, match="own last layer says overflows"):
        own_probabilities(Pool(6, signals))


def test_large_features_of_single_precision_are_fitted_as_they_were() -> None:
    pool = pool_of(6, 5)
    large = {n: a * 1e15 for n, a in pool.signals.items() if n.endswith("features")}
    single = {n: a.astype(np.float32) for n, a in {**pool.signals, **large}.items()}
    single["head_weights"] = single["head_weights"] / np.float32(1e15)
    assert own_probabilities(Pool(6, single)) == pytest.approx(own_probabilities(pool), abs=1e-4)
