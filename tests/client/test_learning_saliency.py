"""Grad-CAM over the table of networks: where it looks, and that the model stays as it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from client.learning.resident import Resident
from client.learning.saliency import layer_of, maps
from protocol.networks import NETWORKS

SIZES = {"tiny-cnn": (7, 8), "resnet": (2, 2), "densenet": (1, 2), "efficientnet": (2, 2)}
SMALL: dict[str, dict[str, Any]] = {
    "densenet": {"blocks": (1, 1, 1, 1), "growth": 8},
    "resnet": {"groups": 4, "channels": (4, 8, 8, 8)},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SIZES)
def test_every_network_shows_where_it_looked(name: str, one_torch_thread: None) -> None:
    network = NETWORKS[name](**SMALL.get(name, {}))
    import torch

    torch.manual_seed(3)
    image = (1, 28, 32)
    model = Resident(network, image, 3)  # type: ignore[arg-type]  # a row of the table
    from client.learning.networks import build

    fresh = build(network, image, 3)  # type: ignore[arg-type]  # a row of the table
    model.load({k: v.numpy() for k, v in fresh.state_dict().items()})
    layer = layer_of(network, model.module)  # type: ignore[arg-type]  # a row of the table
    assert layer in dict(model.module.named_modules())
    images = np.random.default_rng(0).integers(0, 256, (5, *image), dtype=np.uint8)
    before = model.flat.clone()
    chosen = np.array([0, 1, 2, 1, 0])
    found = maps(model, network, images, chosen)  # type: ignore[arg-type]  # a row of the table
    assert found.shape == (5, *SIZES[name])
    assert found.dtype == np.uint8
    assert set(found.reshape(5, -1).max(axis=1).tolist()) <= {0, 255}
    assert found.any()
    one = maps(model, network, images[1:2], chosen[1:2])  # type: ignore[arg-type]  # a row of the table
    assert np.abs(one[0].astype(int) - found[1]).max() <= 1  # a case does not depend on others
    assert torch.equal(model.flat, before)
    assert all(p.requires_grad and p.grad is None for p in model.module.parameters())
    assert not any(m._backward_hooks or m._forward_hooks for m in model.module.modules())


@pytest.mark.parametrize("name", ["resnet", *sorted(NETWORKS.keys() - SIZES.keys())])
def test_a_network_without_places_shows_nothing(name: str, one_torch_thread: None) -> None:
    """A ResNet has none left of 8 x 8 pixels; one that is no network of images never has."""
    network = NETWORKS[name](**SMALL.get(name, {}))
    model = Resident(network, (1, 8, 8), 2)  # type: ignore[arg-type]  # a row of the table
    images = np.zeros((2, 1, 8, 8), dtype=np.uint8)
    found = maps(model, network, images, np.zeros(2, dtype=np.int64))  # type: ignore[arg-type]  # a row of the table
    assert found.size == 0
    assert len(found) == 2


def test_the_map_finds_the_spot_that_decides(one_torch_thread: None) -> None:
    """Made by hand: its only evidence for class 1 is brightness."""
    network = NETWORKS["tiny-cnn"]()
    model = Resident(network, (1, 32, 32), 2)  # type: ignore[arg-type]  # a row of the table
    arrays = model.arrays()
    for key, array in arrays.items():
        if array.ndim == 4:
            array[:, :, 1, 1] = 1.0  # every convolution passes brightness on
        elif array.shape[0] == 2:
            arrays[key] = (
                np.stack([-np.ones(32), np.ones(32)]).astype(np.float32)
                if array.ndim == 2
                else np.zeros(2, np.float32)
            )
        elif key.endswith("weight"):
            array[:] = 1.0
    model.load(arrays)
    image = np.zeros((1, 1, 32, 32), dtype=np.uint8)
    image[0, 0, 4:8, 20:24] = 255
    (found,) = maps(model, network, image, np.array([1]))  # type: ignore[arg-type]  # a row of the table
    assert found.shape == (8, 8)
    row, column = np.unravel_index(found.argmax(), found.shape)
    assert (row, column) == (1, 5)
