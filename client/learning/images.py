"""From the pixels of a case to what a network sees."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

FULL_SCALE = 4.0
"""The distance from black to white after `normalised`."""


def normalised(images: NDArray[np.uint8], device: torch.device | str = "cpu") -> Tensor:
    """Float32 (n, c, h, w) in [-2, 2], (x / 255 - 0.5) / 0.25; the images are not changed.

    Args:
        images: (n, c, h, w) uint8.
        device: where the tensor shall lie.

    Raises:
        ValueError: not uint8, or not four axes.
    """
    if images.dtype != np.uint8 or images.ndim != 4:
        raise ValueError(
            f"images are {images.dtype} of shape {images.shape}: "
            "accepted is uint8 of shape (n, channels, height, width)"
        )
    values = images.astype(np.float32)
    values /= np.float32(255)
    values -= np.float32(0.5)
    values *= np.float32(4)
    return torch.from_numpy(values).to(device)
