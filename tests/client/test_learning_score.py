from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import softmax

from client.learning.networks import build, last_linear
from client.learning.randomness import seeded_dropout
from client.learning.resident import Resident
from client.learning.score import GLOBAL, mc_predict, predict, signals
from protocol.networks import EfficientNet, Network, ResNet, TinyCNN
from protocol.sections import ClassName, Task
from strategies.pool import Needs, NotFinite

torch.set_num_threads(1)  # as every worker of the engine does; more change the bits

IMAGE = (1, 12, 12)


def task(kind: Any = "single-label") -> Task:
    names = tuple(ClassName(name=f"c{i}", definition="d") for i in range(3))
    return Task(kind=kind, image=IMAGE, classes=names)


def loaded(network: Network) -> Resident:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        module = build(network, IMAGE, 3)
    resident = Resident(network, IMAGE, 3)
    resident.load({k: v.numpy() for k, v in module.state_dict().items()})
    return resident


def pool(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, *IMAGE), dtype=np.uint8)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("kind", ["single-label", "multi-label"])
@pytest.mark.parametrize(
    "network", [TinyCNN(dropout=0.3), ResNet(), EfficientNet()], ids=lambda n: n.name
)
def test_features_are_what_the_last_layer_makes_logits_of(network: Network, kind: Any) -> None:
    resident = loaded(network)
    found = predict(resident, pool(7), task=task(kind), batch=3, features=True)
    linear = last_linear(resident.module)
    assert found.features is not None
    assert found.features.shape == (7, linear.in_features)
    assert found.features.dtype == np.float32
    w, b = linear.weight.detach().numpy(), linear.bias.detach().numpy()
    logits = (found.features @ w.T + b).astype(np.float64)
    wanted = 1 / (1 + np.exp(-logits))
    if kind == "single-label":
        wanted = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found.probs, wanted, atol=1e-5)
    assert found.probs.dtype == np.float64
    if kind == "single-label":
        np.testing.assert_allclose(found.probs.sum(axis=1), 1, atol=1e-12)


def test_features_only_where_asked_and_an_empty_pool_is_answered() -> None:
    resident = loaded(TinyCNN())
    assert predict(resident, pool(2), task=task()).features is None
    empty = predict(resident, pool(0), task=task(), features=True)
    assert empty.probs.shape == (0, 3)
    assert empty.features is not None
    assert empty.features.shape == (0, 32)


def test_scoring_forgets_what_was_scored_before() -> None:
    resident, again = loaded(ResNet()), loaded(ResNet())
    resident.module.train()
    predict(resident, pool(9, seed=1), task=task())
    first = predict(resident, pool(5), task=task(), features=True)
    second = predict(again, pool(5), task=task(), features=True)
    assert np.array_equal(first.probs, second.probs)
    assert np.array_equal(first.features, second.features)


@pytest.mark.slow
@pytest.mark.parametrize(
    "network", [TinyCNN(dropout=0.5), ResNet(dropout=0.5)], ids=lambda n: n.name
)
def test_dropout_members_are_whole_passes_with_dropout_left_on(network: Network) -> None:
    resident = loaded(network)
    found = mc_predict(resident, pool(4), 150, task=task(), rng=rng())
    assert found.shape == (4, 150, 3)
    np.testing.assert_allclose(found.sum(axis=2), 1, atol=1e-12)
    resident.module.train()  # dropout is the only layer of ours that training changes
    with torch.inference_mode(), seeded_dropout(resident.module, torch.Generator()):
        images = torch.from_numpy(pool(4)).float().div(255).sub(0.5).div(0.25)
        whole = torch.stack([resident.module(images).softmax(1) for _ in range(150)], 1).numpy()
    assert found.std(axis=1).min() > 0
    error = 5 * (found.std(axis=1) + whole.std(axis=1)) / np.sqrt(150)
    assert (np.abs(found.mean(axis=1) - whole.mean(axis=1)) < error).all()


def test_dropout_members_follow_their_generator() -> None:
    resident = loaded(TinyCNN(dropout=0.5))
    state = torch.random.get_rng_state()
    first, same, other = (
        mc_predict(resident, pool(4), 3, task=task(), rng=rng(s)) for s in (1, 1, 2)
    )
    assert torch.equal(torch.random.get_rng_state(), state)
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)


def test_signals_are_those_asked_for_and_agree_with_each_other() -> None:
    resident = loaded(TinyCNN(dropout=0.5))
    labeled, targets = pool(2, seed=1), np.eye(3)[:2]
    found = signals(
        resident, Needs(GLOBAL, members=2), pool(5), labeled, targets, task=task(), rng=rng()
    )
    assert set(found) == GLOBAL
    plain = predict(resident, pool(5), task=task(), features=True)
    assert np.array_equal(found["probs"], plain.probs)
    assert np.array_equal(found["features"], plain.features)
    again = mc_predict(resident, pool(5), 2, task=task(), rng=rng())
    assert np.array_equal(found["mc_probs"], again)
    theirs = predict(resident, labeled, task=task(), features=True)
    assert np.array_equal(found["labeled_features"], theirs.features)
    assert np.array_equal(found["labeled_probs"], theirs.probs)
    np.testing.assert_allclose(softmax(found["logits"], axis=1), found["probs"], atol=1e-6)
    assert np.array_equal(found["labeled_targets"], targets)
    logits = found["features"] @ found["head_weights"].T + found["head_bias"]
    np.testing.assert_allclose(found["probs"], softmax(logits, axis=1), atol=1e-6)
    assert not np.shares_memory(found["head_bias"], last_linear(resident.module).bias.data.numpy())
    assert not any(array.flags.writeable for array in found.values())
    assert targets.flags.writeable


@pytest.mark.parametrize(
    ("names", "passes"),
    [
        ((), 0),
        (("labeled_targets",), 0),
        (("head_weights", "head_bias"), 0),
        (("probs", "features", "mc_probs"), 1),
        (("labeled_features",), 1),
        (tuple(GLOBAL), 2),
    ],
)
def test_only_the_passes_needed_are_made(names: tuple[str, ...], passes: int) -> None:
    resident, made = loaded(TinyCNN(dropout=0.5)), []
    resident.module.register_forward_hook(lambda *_: made.append(1))
    needs = Needs(frozenset(names), members=3)
    found = signals(resident, needs, pool(5), pool(2), np.eye(3)[:2], task=task(), rng=rng())
    assert set(found) == set(names)
    assert len(made) == passes


def test_a_site_without_labels_has_empty_labeled_signals() -> None:
    needs = Needs(frozenset({"labeled_features", "labeled_targets"}))
    found = signals(
        loaded(TinyCNN()), needs, pool(5), pool(0), np.zeros((0, 3)), task=task(), rng=rng()
    )
    assert found["labeled_features"].shape == (0, 32)
    assert found["labeled_targets"].shape == (0, 3)


@pytest.mark.parametrize(
    ("needs", "sentence"),
    [
        (Needs(frozenset({"probz"})), "unknown signal 'probz'; known: features, head_bias, "),
        (Needs(frozenset({"mc_probs"}), members=0), "0 members: accepted is at least 1"),
        (Needs(frozenset({"mc_probs"}), members=2), "set network.dropout above 0"),
    ],
)
def test_signals_that_cannot_be_had_are_refused(needs: Needs, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        signals(
            loaded(TinyCNN()), needs, pool(2), pool(0), np.zeros((0, 3)), task=task(), rng=rng()
        )


def test_outputs_that_are_not_finite_are_refused_with_their_count() -> None:
    resident = loaded(TinyCNN())
    last_linear(resident.module).bias.data[1] = float("nan")
    with pytest.raises(NotFinite, match="2 of 6 logits"):
        predict(resident, pool(2), task=task())


def test_a_head_that_is_not_finite_is_refused() -> None:
    resident = loaded(TinyCNN())
    last_linear(resident.module).weight.data[1, 2] = float("inf")
    needs = Needs(frozenset({"head_weights"}))
    with pytest.raises(NotFinite, match="1 of 96 head weights"):
        signals(resident, needs, pool(0), pool(0), np.zeros((0, 3)), task=task(), rng=rng())
