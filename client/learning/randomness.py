"""Torch's random numbers from a numpy generator, never from torch's global one.

Worker threads share torch's global generator, so a draw from it depends on what other sites do at
that moment. Every draw here names its generator instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn


def torch_generator(
    rng: np.random.Generator, device: torch.device | str = "cpu"
) -> torch.Generator:
    """A torch generator that depends on the next draw of `rng` alone."""
    return torch.Generator(device).manual_seed(int(rng.integers(2**63)))


class Dropout(nn.Dropout):
    """Dropout with masks from its own generator; from torch's global one where it has none."""

    generator: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        """`x`, in training with a share p of its values set to 0 and the rest scaled by 1/(1-p)."""
        if not self.training or self.p == 0:
            return x
        keep = torch.rand(x.shape, generator=self.generator, device=x.device) >= self.p
        return x * keep / (1 - self.p)


def followed(layer: nn.Module, rate: float) -> nn.Module:
    """A layer without weights, with dropout behind it where the rate is above 0.

    Within the layer's own place: the names of the weights after it do not depend on the rate.
    """
    return nn.Sequential(layer, Dropout(rate)) if rate else layer


@contextmanager
def seeded_dropout(module: nn.Module, generator: torch.Generator) -> Iterator[None]:
    """Within the block, every dropout mask of the module comes from `generator`."""
    layers = [m for m in module.modules() if isinstance(m, Dropout)]
    for layer in layers:
        layer.generator = generator
    try:
        yield
    finally:
        for layer in layers:
            layer.generator = None
