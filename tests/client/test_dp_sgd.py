"""DP-SGD: the patient is the unit, gradients are a loop's, the noise is as large as said."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from client.learning.images import normalised
from client.learning.losses import cross_entropy
from client.learning.networks import initial_arrays
from client.learning.resident import Resident
from client.learning.train import Pace
from client.privacy.chance import SeededChance, SystemChance, discrete_gaussian
from client.privacy.dp_sgd import SOUND, Labeled, Planted, Schedule, Step, train_privately
from client.privacy.layers import RULES
from client.privacy.patients import sampled
from client.privacy.per_patient import add_clipped, check_network, per_sample, why_not
from protocol.networks import NETWORKS
from protocol.study import Study, StudyError, parse

CLASSES = [{"name": "a", "definition": "a"}, {"name": "b", "definition": "b"}]


def _study(**tables: object) -> Study:
    return parse(
        {
            "schema": 1,
            "name": "private",
            "task": {"classes": CLASSES, "image": [1, 16, 16]},
            "network": {"name": "tiny-cnn"},
            "training": {"start": "warm", "batch_size": 4},
            "privacy": {"epsilon": 4.0},
        }
        | tables
    )


def _resident(study: Study) -> Resident:
    resident = Resident(study.network, study.task.image, len(study.task.classes))
    resident.load(initial_arrays(study))
    return resident


def _labeled(n: int, patients: int = 0) -> Labeled:
    rng = np.random.default_rng(3)
    images = rng.integers(0, 256, (n, 1, 16, 16), dtype=np.uint8)
    targets = np.eye(2, dtype=np.float32)[rng.integers(0, 2, n)]
    return Labeled(images, targets, np.arange(n) % (patients or max(n, 1)))


def _chance(seed: int = 1) -> SeededChance:
    return SeededChance(np.random.default_rng(seed))


_LARGE = {"densenet", "efficientnet"}
_EACH = [
    pytest.param(name, marks=pytest.mark.slow if name in _LARGE else ())
    for name in sorted(NETWORKS)
]


@pytest.mark.slow
@pytest.mark.parametrize("name", _EACH)
def test_dp_sgd_clipped_gradients_are_those_of_a_loop_over_the_patients(name: str) -> None:
    small = {"densenet": {"blocks": [2, 2], "growth": 8}}.get(name, {})
    study = _study(network={"name": name, **small})
    resident = _resident(study)
    resident.bind_gradients()
    for layer in resident.module.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0  # EfficientNet would draw other masks
    images, targets = torch.randn(3, 1, 16, 16), torch.eye(2)[[0, 1, 1]]
    clip = 0.5

    def loss(rows: slice) -> torch.Tensor:
        logits = resident.module(images[rows])
        return cross_entropy(
            logits, targets[rows], multi_label=False, gamma=0.0, weights=None
        ) * len(logits)

    wanted, lengths = torch.zeros_like(resident.flat), []
    for i in range(3):
        resident.gradient.zero_()
        torch.autograd.backward(loss(slice(i, i + 1)))
        lengths.append(float(resident.gradient.norm()))
        wanted += resident.gradient * min(1.0, clip / lengths[-1])
    found = torch.zeros_like(resident.flat)
    with per_sample(resident.module) as watched:
        norms = add_clipped(resident, watched, loss(slice(0, 3)), found, clip)
    assert np.allclose(norms.numpy(), lengths, rtol=1e-3)
    assert float((found - wanted).norm()) < 1e-3 * float(wanted.norm())
    assert not any(m._forward_hooks for m in resident.module.modules())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet", "tiny-cnn", "mlp"])
def test_dp_sgd_norms_and_sums_by_sample_are_those_of_opacus(name: str) -> None:
    from opacus import GradSampleModule

    study = _study(network={"name": name})
    resident = _resident(study)
    images, total = torch.randn(4, 1, 16, 16), torch.zeros_like(resident.flat)
    images.requires_grad_()  # or torch warns of Opacus' hooks
    with per_sample(resident.module) as watched:
        loss = resident.module(images).square().sum()
        norms = add_clipped(resident, watched, loss, total, 0.01)
    wrapped = GradSampleModule(resident.module, loss_reduction="sum")
    torch.autograd.backward(wrapped(images).square().sum())
    samples = [vars(slot.parameter)["grad_sample"] for slot in resident.slots]
    wanted = torch.stack([g.flatten(1).norm(dim=1) for g in samples]).norm(dim=0)
    assert torch.allclose(norms, wanted, rtol=1e-4)
    for slot, g in zip(resident.slots, samples, strict=True):
        told = total[slot.rows].view(slot.shape)
        assert torch.allclose(told, torch.einsum("n,n...->...", 0.01 / wanted, g), atol=1e-6)
    wrapped.remove_hooks()


def test_dp_sgd_a_gradient_of_large_terms_that_cancel_is_still_measured() -> None:
    # a server that chooses the weights may ask for this; products in single precision say 0
    layer = nn.Conv2d(64, 64, 1, bias=False)
    x, slope = torch.full((1, 64, 1, 2), 1e4), torch.full((1, 64, 1, 2), 1.0)
    x[..., 1], slope[..., 1] = 1e4 + 0.01, -1.0
    (part,) = RULES[nn.Conv2d](layer, x, slope)
    true = 64 * float((x[0, 0, 0, 0].double() - x[0, 0, 0, 1].double()).abs())
    assert math.sqrt(float(part.squares)) == pytest.approx(true, rel=1e-3)
    single = x.flatten(2).transpose(1, 2) @ x.flatten(2)
    both = single * (slope.flatten(2).transpose(1, 2) @ slope.flatten(2))
    assert not math.isclose(math.sqrt(max(0.0, float(both.sum()))), true, rel_tol=0.1)


@pytest.mark.slow
def test_dp_sgd_takes_one_image_of_a_patient_in_a_step_and_patients_by_chance() -> None:
    patients = np.array([7, 7, 7, 7, 8, 9])
    drawn = [sampled(patients, 0.5, _chance(i)) for i in range(2000)]
    assert all(len(set(patients[rows])) == len(rows) for rows in drawn)
    often = [np.mean([p in patients[rows] for rows in drawn]) for p in (7, 8, 9)]
    assert np.allclose(often, 0.5, atol=0.05)  # not more often for having more images
    of_seven = np.concatenate([rows[patients[rows] == 7] for rows in drawn])
    assert np.allclose(np.bincount(of_seven, minlength=4)[:4] / len(of_seven), 0.25, atol=0.05)
    assert len(sampled(patients[:0], 1.0, _chance())) == 0


def _noise_of(planted: Planted, privacy: dict[str, object] | None = None) -> float:
    study = _study(privacy={"epsilon": 4.0, "clip": 2.0, **(privacy or {})})
    resident = _resident(study)
    schedule = Schedule(1.5, 0.5, 1, 4.0, planted)
    rng = np.random.default_rng(0)
    step = Step(resident, _labeled(0), study, schedule, _chance(), rng)
    drawn = torch.cat([step.noisy(np.zeros(0, dtype=np.int64)) for _ in range(4)])
    return float(drawn[drawn != 0].std())


def test_dp_sgd_noise_is_as_large_as_the_schedule_says_also_without_patients() -> None:
    assert _noise_of(SOUND) == pytest.approx(1.5 * 2.0 / 4.0, rel=0.02)


def test_dp_sgd_a_planted_halving_of_the_noise_shows() -> None:
    assert _noise_of(Planted(noise=0.5)) == pytest.approx(0.75 * 0.5, rel=0.02)


def test_dp_sgd_without_clipping_one_patient_moves_the_sum_by_more() -> None:
    study = _study(privacy={"epsilon": 4.0, "clip": 0.01})
    rng = np.random.default_rng(0)

    def moved(planted: Planted) -> float:
        schedule = Schedule(1e-6, 1.0, 1, 1.0, planted)
        step = Step(_resident(study), _labeled(1), study, schedule, _chance(), rng)
        with step.watching():
            return float(step.noisy(np.zeros(1, dtype=np.int64)).norm())

    assert moved(SOUND) <= 0.0101
    assert moved(Planted(clipping=False)) > 0.05


@pytest.mark.parametrize("clipping", ["flat", "adaptive"])
def test_dp_sgd_an_image_that_overflows_under_chosen_weights_adds_nothing(clipping: str) -> None:
    """Else whether the step fails would tell of it, whatever the noise."""
    study = _study(
        privacy={"epsilon": 4.0, "clipping": clipping}, network={"name": "mlp", "hidden": [4]}
    )
    labeled = _labeled(4)
    labeled.images[:3] = 128  # near 0 once normalised
    labeled.images[3], labeled.targets[:3] = 255, (0, 1)
    found = []
    for rows in (np.arange(4), np.arange(3)):
        resident = _resident(study)
        resident.flat.mul_(1e20)
        schedule = Schedule(1e-9, 1.0, 1, 1.0)
        step = Step(resident, labeled, study, schedule, _chance(), np.random.default_rng(0))
        finite = torch.isfinite(resident.module(normalised(labeled.images, resident.device)))
        assert finite.all(dim=1).tolist() == [True, True, True, False]
        with step.watching():
            found.append(step.noisy(rows))
    assert float(found[1].norm()) > 0.1
    assert torch.allclose(found[0], found[1], atol=1e-5)


@pytest.mark.slow
def test_dp_sgd_physical_batches_change_no_result_but_rounding() -> None:
    found = []
    for size in (1, 3, 32):
        study = _study(privacy={"epsilon": 4.0, "physical_batch": size})
        resident = _resident(study)
        schedule = Schedule(noise=0.5, share=0.9, steps=5, expected=8.0)
        rng = np.random.default_rng(0)
        train_privately(resident, _labeled(8), study, schedule, _chance(), Pace(3e-3, 0, 0.1), rng)
        found.append(resident.flat.clone())
    assert float((found[0] - found[2]).abs().max()) < 1e-3
    assert float((found[1] - found[2]).abs().max()) < 1e-3


def test_dp_sgd_same_chance_same_bits_and_the_module_is_plain_again() -> None:
    study = _study()
    resident, found = _resident(study), []
    for _ in range(2):
        resident.load(initial_arrays(study))
        schedule = Schedule(noise=1.0, share=0.5, steps=3, expected=4.0)
        rng = np.random.default_rng(0)
        train_privately(
            resident, _labeled(8, 4), study, schedule, _chance(), Pace(3e-3, 0, 0.0), rng
        )
        found.append(resident.arrays())
    assert all(np.array_equal(found[0][k], found[1][k]) for k in found[0])
    assert all(not m._forward_hooks for m in resident.module.modules())


def test_dp_sgd_adaptive_clipping_finds_the_median_norm_and_pays_for_the_count() -> None:
    study = _study(privacy={"epsilon": 4.0, "clip": 50.0, "clipping": "adaptive"})
    schedule = Schedule(noise=0.02, share=1.0, steps=1, expected=16.0)
    rng = np.random.default_rng(0)
    step = Step(_resident(study), _labeled(16), study, schedule, _chance(), rng)
    z, count = step._gradient_noise(), 10.0 * schedule.noise
    assert z**-2 + count**-2 == pytest.approx(schedule.noise**-2)
    norms = torch.linspace(0.5, 1.5, 16)
    for _ in range(200):
        step._follow(norms)
    assert step._clip == pytest.approx(1.0, abs=0.15)


@pytest.mark.slow
def test_dp_sgd_a_network_that_normalises_over_its_batch_is_refused_by_reason() -> None:
    bad = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(784, 2))
    assert "normalises over the cases of a batch" in why_not(bad, (1, 16, 16))
    place = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(inplace=True), nn.Flatten())
    assert "in place" in why_not(place, (1, 16, 16))
    odd = nn.Sequential(nn.Conv2d(1, 4, 3, padding="same"), nn.Flatten())
    assert "layer 0 (Conv2d) has no gradients by case" in why_not(odd, (1, 16, 16))
    same = nn.Linear(256, 256)
    assert "called twice" in why_not(nn.Sequential(nn.Flatten(), same, same), (1, 16, 16))


@pytest.mark.slow
def test_dp_sgd_every_network_of_the_table_can_be_private() -> None:
    for name in NETWORKS:
        check_network(_study(network={"name": name}))


def test_dp_sgd_study_check_names_the_network_it_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    from client.privacy import per_patient

    def build(*_: object) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(256), nn.Linear(256, 2))

    monkeypatch.setattr(per_patient, "build", build)
    with pytest.raises(StudyError, match=r"network.name = 'tiny-cnn'.*its layer 1 normalises"):
        check_network(_study())


def test_dp_sgd_the_systems_generator_is_normal_uniform_and_unseeded() -> None:
    source = SystemChance()
    drawn = source.normal(40_000)
    assert abs(float(drawn.mean())) < 0.03
    assert float(drawn.std()) == pytest.approx(1.0, abs=0.02)
    assert not np.array_equal(source.normal(8), source.normal(8))
    assert 0 <= source.uniform(1000).min() < 0.05 < 0.95 < source.uniform(1000).max() < 1
    assert {source.below(3) for _ in range(200)} == {0, 1, 2}


@pytest.mark.slow
@pytest.mark.parametrize("deviation", [0.7, 4.0])
def test_dp_sgd_discrete_gaussian_has_its_probabilities(deviation: float) -> None:
    source, n = _chance(), 8000
    drawn = np.array([discrete_gaussian(deviation, source) for _ in range(n)])
    ks = np.arange(-60, 61)
    weights = np.exp(-(ks**2) / (2 * deviation**2))
    for k in range(-3, 4):
        p = float(weights[ks == k][0] / weights.sum())
        assert abs(np.mean(drawn == k) - p) < 5 * math.sqrt(p / n) + 1e-4
