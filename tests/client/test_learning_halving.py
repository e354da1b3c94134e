"""The faster halving of images is torch's own max-pooling to the last bit."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from client.learning.halving import Halved


@pytest.mark.parametrize("shape", [(1, 1, 2, 2), (5, 8, 28, 28), (3, 16, 7, 9), (0, 4, 6, 6)])
def test_values_and_gradients_are_torchs_own_ties_among_them(shape: tuple[int, ...]) -> None:
    drawn = torch.Generator().manual_seed(3)
    x = torch.randint(-1, 2, shape, generator=drawn).float()  # of three values: ties everywhere
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    halved, pooled = Halved()(ours), nn.MaxPool2d(2)(theirs)
    weights = torch.randn(pooled.shape, generator=drawn)
    (halved * weights).sum().backward()
    (pooled * weights).sum().backward()
    assert halved.is_contiguous()
    assert torch.equal(halved, pooled)
    assert ours.grad is not None
    assert theirs.grad is not None
    assert torch.equal(ours.grad, theirs.grad)
    with torch.inference_mode():
        assert torch.equal(Halved()(x), pooled)


def test_it_has_no_weights_and_no_state() -> None:
    assert not Halved().state_dict()
