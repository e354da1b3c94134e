from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from client.learning.networks import build
from client.learning.resident import Resident
from client.learning.train import (
    Trained,
    add_proximal,
    batches,
    count_steps,
    learning_rate,
    train,
)
from protocol.networks import Network, ResNet, TinyCNN
from protocol.sections import Augmentation, ClassName, Task, Training
from protocol.study import Study

torch.set_num_threads(1)  # as every worker of the engine does; more change the bits

IMAGE = (1, 12, 12)
AUGMENTED = Augmentation(flip=0.5, rotate=10.0, noise=0.05)


def task(kind: Any = "single-label", classes: int = 2) -> Task:
    names = tuple(ClassName(name=f"c{i}", definition="d") for i in range(classes))
    return Task(kind=kind, image=IMAGE, classes=names)


def weights(network: Network, classes: int = 2) -> dict[str, np.ndarray]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        module = build(network, IMAGE, classes)
    return {k: v.numpy().copy() for k, v in module.state_dict().items()}


def loaded(network: Network | None = None, classes: int = 2) -> Resident:
    network = network or TinyCNN()
    resident = Resident(network, IMAGE, classes)
    resident.load(weights(network, classes))
    return resident


def site(n: int, seed: int = 0, classes: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Noise, with a bright patch whose place tells the class."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 120, (n, *IMAGE), dtype=np.uint8)
    labels = np.arange(n) % classes
    for image, label in zip(images, labels, strict=True):
        image[0, 2 : 5 + 3 * label, 2:5] = 250
    return images, np.eye(classes)[labels]


def run(resident: Resident, images: np.ndarray, targets: np.ndarray, **changes: Any) -> Trained:
    given = {"round_": 0, "mu": 0.0, "rng": np.random.default_rng(7)} | changes
    asked = given.pop("task", task())
    training = given.pop("training", Training())
    study = Study(schema=1, name="tiny", task=asked, training=training)
    return train(resident, images, targets, study, **given)


def test_cosine_and_constant_schedules() -> None:
    cosine = Training(rounds_per_cycle=4, learning_rate=0.1)
    rates = [learning_rate(cosine, r) for r in range(4)]
    assert rates == pytest.approx([0.1, 0.05 * (1 + math.sqrt(0.5)), 0.05, 0.05 - 0.05 * 0.5**0.5])
    constant = Training(rounds_per_cycle=4, learning_rate=0.1, schedule="constant")
    assert {learning_rate(constant, r) for r in range(4)} == {0.1}
    for outside in (-1, 4):
        with pytest.raises(ValueError, match="accepted is 0 to 3"):
            learning_rate(cosine, outside)


@pytest.mark.parametrize(("n", "steps"), [(1, 10), (16, 10), (100, 14), (10_000, 60)])
def test_steps_are_the_epochs_batches_within_the_limits(n: int, steps: int) -> None:
    assert count_steps(Training(), n) == steps


def test_an_epoch_meets_every_case_once() -> None:
    rows = batches(
        np.eye(2)[[0] * 10], Training(batch_size=4), 7, multi_label=False,
        rng=np.random.default_rng(0),
    )  # fmt: skip
    drawn = [batch.tolist() for batch in rows]
    assert [len(batch) for batch in drawn] == [4, 4, 2, 4, 4, 2, 4]
    for epoch in (drawn[:3], drawn[3:6]):
        assert sorted(row for batch in epoch for row in batch) == list(range(10))
    assert drawn[:3] != drawn[3:6]


def test_sampling_draws_a_rare_class_as_often_as_the_common_one() -> None:
    rows = batches(
        np.eye(2)[[0] * 95 + [1] * 5], Training(balancing="sampling"), 700, multi_label=False,
        rng=np.random.default_rng(0),
    )  # fmt: skip
    assert float((torch.cat(list(rows)) >= 95).float().mean()) == pytest.approx(0.5, abs=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("loss", ["cross-entropy", "focal"])
@pytest.mark.parametrize("kind", ["single-label", "multi-label"])
def test_a_separable_site_is_learned(optimizer: Any, loss: Any, kind: Any) -> None:
    resident = loaded()
    images, targets = site(24)
    training = Training(
        optimizer=optimizer, loss=loss, learning_rate=0.02, min_steps=60, schedule="constant"
    )
    for r in range(2):
        done = run(resident, images, targets, training=training, task=task(kind), round_=r)
    assert done.steps == 60
    assert done.loss < 0.05


@pytest.mark.slow
def test_it_is_the_plain_loop() -> None:
    images, targets = site(20)
    resident = loaded(ResNet())
    training = Training(weight_decay=0.1, learning_rate=0.01, min_steps=5, batch_size=8)
    done = run(resident, images, targets, training=training, round_=5)

    plain = build(ResNet(), IMAGE, 2)
    plain.load_state_dict({k: torch.from_numpy(v) for k, v in weights(ResNet()).items()})
    adam = torch.optim.AdamW(plain.parameters(), lr=learning_rate(training, 5), weight_decay=0.1)
    rng = np.random.default_rng(7)
    rng.integers(2**63, size=2)  # the seeds of dropout and augmentation
    x, y = torch.from_numpy(images).float().div(255).sub(0.5).div(0.25), torch.from_numpy(targets)
    losses = []
    for rows in batches(targets, training, 6, multi_label=False, rng=rng):
        adam.zero_grad()
        loss = F.cross_entropy(plain(x[rows]), y[rows].float())
        loss.backward()
        adam.step()
        losses.append(float(loss.detach()))
    assert done.steps == 6
    assert done.loss == pytest.approx(np.average(losses[3:], weights=[8, 8, 4]), rel=1e-3)
    for name, value in plain.state_dict().items():
        np.testing.assert_allclose(resident.arrays()[name], value, atol=2e-3)


@pytest.mark.parametrize(
    "network", [TinyCNN(dropout=0.3), ResNet(dropout=0.3)], ids=lambda n: n.name
)
@pytest.mark.parametrize("balancing", ["none", "weights", "sampling"])
def test_a_site_leaves_nothing_behind_for_the_next(network: Network, balancing: Any) -> None:
    training = Training(min_steps=3, max_steps=3, augmentation=AUGMENTED, balancing=balancing)
    (a, a_targets), (b, b_targets) = site(9, seed=1), site(20, seed=2)
    alone = loaded(network)
    first = run(alone, b, b_targets, training=training, mu=0.1)

    after = loaded(network)
    run(after, a, a_targets, training=training)
    for parameter in after.module.parameters():
        parameter.grad = None  # as an optimizer of someone else's leaves it
    torch.rand(3)
    after.load(weights(network))
    second = run(after, b, b_targets, training=training, mu=0.1)
    assert first == second
    assert torch.equal(alone.flat, after.flat)


def test_another_generator_gives_another_model_and_torchs_own_is_untouched() -> None:
    images, targets = site(20)
    training = Training(augmentation=AUGMENTED)
    one, two = loaded(TinyCNN(dropout=0.3)), loaded(TinyCNN(dropout=0.3))
    state = torch.random.get_rng_state()
    run(one, images, targets, training=training)
    run(two, images, targets, training=training, rng=np.random.default_rng(8))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not torch.equal(one.flat, two.flat)


def test_proximal_gradient_by_hand() -> None:
    gradient = torch.tensor([1.0, 1.0])
    add_proximal(gradient, torch.tensor([3.0, 0.0]), torch.tensor([1.0, 2.0]), 0.5)
    assert gradient.tolist() == [2.0, 0.0]


def test_the_proximal_term_leaves_small_gradients_alone_where_nothing_has_moved() -> None:
    """Rounding of mu weights is larger than many a gradient, and Adam would follow its sign."""
    start = torch.linspace(-1.0, 1.0, 1001)
    gradient = torch.full_like(start, 1e-10)
    add_proximal(gradient, start.clone(), start, 0.3)
    assert torch.equal(gradient, torch.full_like(start, 1e-10))


def test_the_proximal_term_holds_the_model_near_its_start() -> None:
    images, targets = site(20)
    free, held = loaded(), loaded()
    start = free.flat.clone()
    training = Training(optimizer="sgd", learning_rate=0.02, momentum=0.0)
    run(free, images, targets, training=training)
    run(held, images, targets, training=training, mu=20.0)
    assert 0 < float((held.flat - start).norm()) < 0.6 * float((free.flat - start).norm())


@pytest.mark.parametrize("balancing", ["none", "weights", "sampling"])
@pytest.mark.parametrize("kind", ["single-label", "multi-label"])
@pytest.mark.parametrize("n", [1, 17])
def test_a_site_with_one_class_or_one_case_trains(balancing: Any, kind: Any, n: int) -> None:
    images, targets = site(n)
    targets = np.eye(3)[[1] * n]
    resident = loaded(classes=3)
    before = resident.flat.clone()
    done = run(
        resident, images, targets, training=Training(balancing=balancing), task=task(kind, 3)
    )
    assert done.steps == 10
    assert math.isfinite(done.loss)
    assert not torch.equal(resident.flat, before)


def test_a_site_without_labels_leaves_the_model_alone() -> None:
    resident = loaded()
    before = resident.flat.clone()
    images, targets = site(0)
    assert run(resident, images, targets.reshape(0, 2)) == Trained(loss=0.0, steps=0)
    assert torch.equal(resident.flat, before)


def test_weights_that_are_not_finite_are_refused() -> None:
    images, targets = site(8)
    training = Training(optimizer="sgd", learning_rate=1e38, min_steps=10)
    with pytest.raises(ValueError, match="weights are not finite after 10 steps"):
        run(loaded(), images, targets, training=training)


@pytest.mark.parametrize(
    ("images", "targets", "sentence"),
    [
        (np.zeros((2, 1, 9, 9), np.uint8), np.eye(2), r"accepted is \(n, 1, 12, 12\)"),
        (np.zeros((2, *IMAGE), np.uint8), np.eye(3), r"accepted is \(2, 2\)"),
        (np.zeros((2, *IMAGE), np.uint8), np.eye(2) * 2, "2 targets are outside"),
        (np.zeros((2, *IMAGE), np.uint8), np.full((2, 2), np.nan), "4 targets are outside"),
        (np.zeros((2, *IMAGE)), np.eye(2), "accepted is uint8"),
    ],
)
def test_cases_that_do_not_fit_are_refused(
    images: np.ndarray, targets: np.ndarray, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        run(loaded(), images, targets)
