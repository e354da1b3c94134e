from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from client.learning.images import normalised
from client.learning.networks import build
from client.learning.resident import Resident
from protocol.networks import Network, ResNet, TinyCNN


def weights(network: Network, seed: int) -> dict[str, np.ndarray]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = build(network, (1, 12, 12), 2)
    return {k: v.numpy().copy() for k, v in module.state_dict().items()}


@pytest.mark.parametrize("network", [TinyCNN(), ResNet()], ids=lambda n: n.name)
def test_what_is_loaded_is_what_computes_and_what_comes_back(network: Network) -> None:
    resident = Resident(network, (1, 12, 12), 2)
    arrays = weights(network, 1)
    resident.load(arrays)
    plain = build(network, (1, 12, 12), 2)
    plain.load_state_dict({k: torch.from_numpy(v) for k, v in arrays.items()})
    images = torch.randn(3, 1, 12, 12)
    torch.testing.assert_close(resident.module(images), plain(images))
    back = resident.arrays()
    assert list(back) == list(arrays)
    assert all(np.array_equal(back[k], arrays[k]) for k in arrays)
    assert all(back[k].dtype == np.float32 for k in arrays)


def test_parameters_and_gradients_are_views_of_the_flat_vectors() -> None:
    resident = Resident(TinyCNN(), (1, 12, 12), 2)
    resident.flat.fill_(2)
    assert all(bool((p == 2).all()) for p in resident.module.parameters())
    assert all(p.data_ptr() % 64 == 0 for p in resident.module.parameters())
    resident.bind_gradients()
    resident.gradient.fill_(3)
    assert all(bool((p.grad == 3).all()) for p in resident.module.parameters())


def test_arrays_are_copies_both_ways() -> None:
    resident = Resident(TinyCNN(), (1, 12, 12), 2)
    arrays = weights(TinyCNN(), 1)
    resident.load(arrays)
    back = resident.arrays()
    arrays["0.weight"][:] = 7
    resident.flat.fill_(9)
    assert np.array_equal(back["0.weight"], weights(TinyCNN(), 1)["0.weight"])


def test_making_a_resident_draws_nothing_from_torch() -> None:
    state = torch.random.get_rng_state()
    resident = Resident(ResNet(), (1, 12, 12), 2)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not resident.flat.any()


def test_a_buffer_is_loaded_and_returned_with_its_dtype(monkeypatch: pytest.MonkeyPatch) -> None:
    def with_buffer(*arguments: object) -> nn.Module:
        module = build(*arguments)
        module.register_buffer("seen", torch.tensor([0]))
        return module

    monkeypatch.setattr("client.learning.resident.build", with_buffer)
    resident = Resident(TinyCNN(), (1, 12, 12), 2)
    resident.load(weights(TinyCNN(), 1) | {"seen": np.array([4])})
    assert resident.module.seen.tolist() == [4]
    assert resident.arrays()["seen"].dtype == np.int64
    with pytest.raises(ValueError, match="accepted is int64"):
        resident.load(weights(TinyCNN(), 1) | {"seen": np.array([4.0])})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda a: a.pop("0.weight"), "array '0.weight' is missing: 10 arrays given"),
        (lambda a: a.update(odd=np.zeros(2)), "array 'odd' is not of this network: 12 arrays"),
        (lambda a: a.update({"0.weight": np.zeros((8, 3), np.float32)}), r"shape \(8, 3\)"),
        (lambda a: a.update({"0.weight": a["0.weight"].astype(float)}), "is float64 of shape"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_and_nothing_changes(change, sentence) -> None:
    resident = Resident(TinyCNN(), (1, 12, 12), 2)
    resident.load(weights(TinyCNN(), 1))
    before, arrays = resident.flat.clone(), weights(TinyCNN(), 2)
    change(arrays)
    with pytest.raises(ValueError, match=sentence):
        resident.load(arrays)
    assert torch.equal(resident.flat, before)


def test_pixels_are_normalised_and_a_read_only_array_is_accepted() -> None:
    images = np.array([0, 51, 255], dtype=np.uint8).reshape(3, 1, 1, 1)
    images.flags.writeable = False
    assert normalised(images).flatten().tolist() == pytest.approx([-2, -1.2, 2])
    assert normalised(images[:0]).shape == (0, 1, 1, 1)


@pytest.mark.parametrize("images", [np.zeros((2, 1, 4, 4)), np.zeros((2, 4, 4), np.uint8)])
def test_images_of_another_kind_are_refused(images: np.ndarray) -> None:
    with pytest.raises(ValueError, match="accepted is uint8 of shape"):
        normalised(images)
