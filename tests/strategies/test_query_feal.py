"""FEAL: its uncertainties, its score in the paper's plain formulas, and its walk."""

from __future__ import annotations

from math import lgamma, log
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import dirichlet, entropy

from strategies.pool import Pool
from strategies.query.feal import Feal, calibrated, dirichlets, noises, relaxed, spreads

SEEDS = st.integers(0, 2**32 - 1)
few = settings(max_examples=25)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_feal_s_uncertainties_of_no_evidence() -> None:
    flat = dirichlets(np.array([[-1.0, 0.0]]), False)
    assert noises(flat).ravel() == pytest.approx([1 / 2])  # digamma(3) - digamma(2)
    assert spreads(flat).ravel() == pytest.approx([0])  # uniform on an interval of length 1


@few
@given(SEEDS)
def test_feal_s_uncertainties_are_a_dirichlet_s(seed: int) -> None:
    alpha = dirichlets(3 * rng(seed).standard_normal((4, 3)), False)
    drawn_from = [dirichlet(a[0]) for a in alpha]
    assert spreads(alpha)[:, 0] == pytest.approx([d.entropy() for d in drawn_from], abs=1e-9)
    answers = rng(seed).dirichlet(alpha[0, 0], size=4000)
    assert float(noises(alpha)[0, 0]) == pytest.approx(entropy(answers.T).mean(), abs=0.05)


def test_feal_prefers_noise_where_the_global_model_has_seen_little() -> None:
    logits = np.array([[0.0, 0.0], [6.0, 6.0], [9.0, 0.0]])  # nothing seen; torn; sure
    scores = calibrated(logits, logits, False)
    assert scores[0] == pytest.approx(2 * 0.5)  # u_epi is 1, both u_ale one half
    assert scores.argmin() == int(spreads(dirichlets(logits, False)).ravel().argmin())
    assert scores.min() == 0
    same = np.ones((3, 2))
    assert calibrated(same, same, False).tolist() == [0, 0, 0]


def digamma(x: float) -> float:
    """Of x > 0, by its recurrence and then its series."""
    if x < 10:
        return digamma(x + 1) - 1 / x
    return log(x) - 1 / (2 * x) - 1 / (12 * x**2) + 1 / (120 * x**4) - 1 / (252 * x**6)


def aleatoric(alpha: list[float]) -> float:
    """The paper's u_ale: the entropy expected of an answer."""
    total = sum(alpha)
    return sum(a / total * (digamma(total + 1) - digamma(a + 1)) for a in alpha)


def epistemic(alpha: list[float]) -> float:
    """The paper's u_epi: the differential entropy of the Dirichlet."""
    total = sum(alpha)
    normal = sum(lgamma(a) for a in alpha) - lgamma(total)
    return normal - sum((a - 1) * (digamma(a) - digamma(total)) for a in alpha)


def evidence(logits: list[float], multi_label: bool) -> list[list[float]]:
    """The Dirichlets of one case: one over the classes, or of each class's yes and no."""
    if multi_label:
        return [[max(x, 0) + 1, max(-x, 0) + 1] for x in logits]
    return [[max(x, 0) + 1 for x in logits]]


def papers(logits: Any, local: Any, multi_label: bool) -> list[float]:
    """The paper's score: u_epi of the global model, 0 to 1 over the pool, times both u_ale."""
    both = [[evidence(row, multi_label) for row in x.tolist()] for x in (logits, local)]
    epi = [sum(epistemic(alpha) for alpha in case) for case in both[0]]
    ale = [[sum(aleatoric(alpha) for alpha in case) for case in of] for of in both]
    scale = [(u - min(epi)) / (max(epi) - min(epi)) for u in epi]
    return [u * (g + s) for u, g, s in zip(scale, *ale, strict=True)]


@few
@given(SEEDS, st.booleans())
def test_feal_s_score_is_the_paper_s_of_two_models_that_differ(seed: int, several: bool) -> None:
    logits, local = 3 * rng(seed).standard_normal((2, 9, 3))
    wanted = papers(logits, local, several)
    assert calibrated(logits, local, several) == pytest.approx(wanted, abs=1e-9)
    signals = {"logits": logits, "local_logits": local}
    apart = np.eye(9)  # no case is a neighbour of another, so the score alone decides
    pool = Pool(9, {**signals, "local_features": apart}, several)
    picks = Feal().select(pool, 6, rng()).tolist()
    assert [wanted[i] for i in picks] == pytest.approx(sorted(wanted, reverse=True)[:6], abs=1e-9)


def test_feal_s_score_by_hand_where_the_models_differ() -> None:
    # global: nothing seen, and alpha (3, 1); u_epi scales to 1 and 0
    logits = np.array([[0.0, 0.0], [2.0, 0.0]])
    # local alpha (1, 4): 1/5 (psi(6) - psi(2)) + 4/5 (psi(6) - psi(5))
    sure = np.array([[-1.0, 3.0], [5.0, 5.0]])
    said = (1 / 2 + 1 / 3 + 1 / 4 + 1 / 5) / 5 + 4 / 5 / 5
    assert calibrated(logits, sure, False) == pytest.approx([1 / 2 + said, 0])
    assert calibrated(logits, logits, False) == pytest.approx([1 / 2 + 1 / 2, 0])


def walked(order: Any, x: Any, k: int, neighbours: int, cosine: float) -> list[int]:
    """The relaxation of the authors' code, one cosine at a time."""
    taken: list[int] = []
    for i in order:
        near = sorted((-float(x[i] @ x[j]), j) for j in range(len(x)) if j != i)
        inside = [j for minus, j in near if -minus > cosine][:neighbours]
        if len(taken) < k and (len(inside) < neighbours or not set(inside) & set(taken)):
            taken.append(i)
    return (taken + [i for i in order if i not in taken])[:k]


@few
@given(SEEDS, st.integers(0, 30), st.integers(1, 4))
def test_feal_s_relaxation_is_the_published_walk(seed: int, k: int, neighbours: int) -> None:
    x = rng(seed).standard_normal((30, 2))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    order = rng(seed + 1).permutation(30)
    found = relaxed(order, x, k, neighbours, 0.85)
    assert found.tolist() == walked(order.tolist(), x, k, neighbours, 0.85)


def test_feal_takes_one_of_a_crowd_and_those_that_stand_alone() -> None:
    crowd = [[1.0, 0.001 * i * i] for i in range(7)]
    x = np.array([*crowd, [0.0, 1.0]])
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    taken = relaxed(np.arange(8), x, 2, 5, 0.85).tolist()
    # the five nearest of 1 to 4 hold 0, those of 5 do not
    assert taken == [0, 5]
    assert relaxed(np.arange(8), x[[0, 1, 2, 3, 4, 5, 5, 7]], 2, 6, 0.85).tolist() == [0, 7]
