from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from client.learning.losses import case_shares, class_weights, cross_entropy, evidential, loss_of
from protocol.sections import ClassName, Task, Training
from protocol.study import Study


@pytest.mark.slow
def test_soft_cross_entropy_is_torchs() -> None:
    logits, targets = torch.randn(5, 3), torch.rand(5, 3).softmax(1)
    ours = cross_entropy(logits, targets, multi_label=False, gamma=0, weights=None)
    torch.testing.assert_close(ours, F.cross_entropy(logits, targets))


def test_binary_cross_entropy_is_torchs() -> None:
    logits, targets = torch.randn(5, 3), torch.rand(5, 3)
    ours = cross_entropy(logits, targets, multi_label=True, gamma=0, weights=None)
    torch.testing.assert_close(ours, F.binary_cross_entropy_with_logits(logits, targets))


@pytest.mark.parametrize("multi_label", [False, True])
def test_focal_tends_to_cross_entropy_with_gamma_and_is_below_it(multi_label: bool) -> None:
    logits, targets = torch.randn(5, 3), torch.eye(3)[[0, 1, 2, 1, 0]]

    def loss(gamma: float) -> float:
        value = cross_entropy(logits, targets, multi_label=multi_label, gamma=gamma, weights=None)
        return float(value)

    assert loss(1e-7) == pytest.approx(loss(0), rel=1e-5)
    assert loss(2) < loss(1) < loss(0)


def test_focal_by_hand() -> None:
    logits = torch.tensor([[math.log(0.8), math.log(0.2)]])
    value = cross_entropy(
        logits, torch.tensor([[1.0, 0.0]]), multi_label=False, gamma=2.0, weights=None
    )
    assert float(value) == pytest.approx(-(0.2**2) * math.log(0.8), rel=1e-5)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focal_has_a_finite_gradient_where_the_answer_is_certain(gamma: float) -> None:
    logits = torch.tensor([[80.0, -80.0]], requires_grad=True)
    loss = cross_entropy(
        logits, torch.tensor([[1.0, 0.0]]), multi_label=False, gamma=gamma, weights=None
    )
    torch.autograd.backward(loss)
    assert logits.grad is not None
    assert bool(torch.isfinite(logits.grad).all())


def test_weights_by_hand() -> None:
    one_hot = np.eye(3)[[0, 0, 0, 1]]  # nobody has class 2
    assert class_weights(one_hot, multi_label=False).tolist() == [4 / (2 * 3), 4 / 2, 0]
    assert class_weights(one_hot[:3], multi_label=False).tolist() == [1, 0, 0]
    several = np.array([[1, 0], [1, 0], [1, 0], [0, 0]], dtype=float)
    assert class_weights(several, multi_label=True).tolist() == [[4 / 2, 1], [4 / 6, 0]]


def test_a_trace_of_a_class_counts_as_one_case() -> None:
    targets = np.array([[0.99, 0.01], [1, 0]])
    weights = class_weights(targets, multi_label=False)
    assert weights.tolist() == pytest.approx([2 / (2 * 1.99), 1])


def test_weighted_loss_by_hand() -> None:
    logits = torch.zeros(2, 2)
    weights = torch.tensor([0.5, 3.0])
    value = cross_entropy(logits, torch.eye(2), multi_label=False, gamma=0, weights=weights)
    assert float(value) == pytest.approx(math.log(2) * 3.5 / 2)
    sides = torch.tensor([[1.0, 1.0], [2.0, 3.0]])  # absent, present
    value = cross_entropy(logits, torch.eye(2), multi_label=True, gamma=0, weights=sides)
    assert float(value) == pytest.approx(math.log(2) * (2 + 1 + 1 + 3) / 4)


def test_shares_give_every_class_present_the_same_chance() -> None:
    targets = np.eye(3)[[0] * 9 + [1]]
    shares = case_shares(targets, multi_label=False)
    assert (shares @ targets).tolist() == pytest.approx([0.5, 0.5, 0])
    assert case_shares(targets[:9], multi_label=False).tolist() == pytest.approx([1 / 9] * 9)
    several = case_shares(np.array([[1.0, 0.0]] + [[0.0, 0.0]] * 7), multi_label=True)
    assert several[0] > 2 * several[1]
    assert several.sum() == pytest.approx(1)


def test_evidential_by_hand() -> None:
    # a = (3, 1), S = 4: digamma(4) - digamma(3) = 1/3; nothing to take from the wrong class
    logits, targets, prior = torch.tensor([[2.0, -1.0]]), torch.tensor([[1.0, 0.0]]), 0.25
    value = evidential(logits, targets, prior=torch.tensor([prior, 1 - prior]), annealing=1.0)
    assert float(value) == pytest.approx((2 - prior) / 3 - 0.01 * 2 / 4 * 2, rel=1e-5)


def test_evidential_asks_wrong_classes_for_no_evidence_the_longer_the_more() -> None:
    # against class 1, a = (1, 3) once the right class is taken out: KL of Dir(1, 3) from flat
    logits, targets = torch.tensor([[0.0, 2.0]]), torch.tensor([[1.0, 0.0]])
    prior = torch.tensor([0.5, 0.5])
    early, late = (float(evidential(logits, targets, prior=prior, annealing=a)) for a in (0, 1))
    flat = math.log(math.gamma(4) / math.gamma(3)) + 2 * -(1 / 3)
    assert late - early == pytest.approx(0.01 * flat, rel=1e-4)
    expected = 1.5 * (1 + 1 / 2 + 1 / 3)  # digamma(4) - digamma(1)
    assert early == pytest.approx(expected, rel=1e-5)


def test_evidential_pulls_up_the_right_class_where_it_has_no_evidence() -> None:
    logits = torch.tensor([[-3.0, -3.0]], requires_grad=True)
    loss = evidential(
        logits, torch.tensor([[0.0, 1.0]]), prior=torch.tensor([0.5, 0.5]), annealing=1.0
    )
    torch.autograd.backward(loss)
    assert logits.grad is not None
    assert logits.grad.tolist() == [[0.0, pytest.approx(-0.01)]]


def test_a_study_s_evidential_loss_knows_its_labels_shares_and_round() -> None:
    names = tuple(ClassName(name=n, definition="d") for n in "ab")
    study = Study(
        schema=1, name="tiny", task=Task(classes=names), training=Training(loss="evidential")
    )
    labels = np.eye(2)[[0, 0, 0, 1]]
    logits, targets = torch.randn(5, 2), torch.eye(2)[[0, 1, 0, 1, 1]]
    for round_, annealing in ((0, 0.0), (5, 0.5), (15, 1.0)):
        ours = loss_of(study, labels, round_, torch.device("cpu"))(logits, targets)
        prior = torch.tensor([0.75, 0.25])
        wanted = evidential(logits, targets, prior=prior, annealing=annealing)
        torch.testing.assert_close(ours, wanted)


@pytest.mark.parametrize(
    ("kind", "balancing", "sentence"),
    [
        ("multi-label", "none", "training.loss = 'evidential': accepted is another in a multi-"),
        ("single-label", "weights", "training.balancing = 'weights': accepted is none or sampl"),
    ],
)
def test_what_the_evidential_loss_cannot_do_is_refused(
    kind: Any, balancing: Any, sentence: str
) -> None:
    names = tuple(ClassName(name=n, definition="d") for n in "ab")
    training = Training(loss="evidential", balancing=balancing)
    with pytest.raises(ValueError, match=sentence):
        Study(schema=1, name="tiny", task=Task(kind=kind, classes=names), training=training)
