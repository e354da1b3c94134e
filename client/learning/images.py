"""From the pixels of a case to what a network sees."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

GRID = 7
"""Parts of an image's height and width in what `looks` keeps of it; all pixels of a smaller one."""

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


def looks(images: NDArray[np.uint8], batch: int = 250) -> NDArray[np.float32]:
    """The images from afar: (n, c * 7 * 7) mean values of a grid's cells, from 0 to 1.

    Args:
        images: (n, c, h, w) uint8; sides of 8 pixels or fewer are kept as they are.
        batch: images looked at together.
    """
    count, channels, height, width = images.shape
    down, across = (side if side <= GRID + 1 else GRID for side in (height, width))
    found = np.empty((count, channels * down * across), dtype=np.float32)
    for rows in (slice(i, i + batch) for i in range(0, count, batch)):
        values = torch.from_numpy(images[rows].astype(np.float32) / np.float32(255))
        found[rows] = F.adaptive_avg_pool2d(values, (down, across)).flatten(1).numpy()
    return found
