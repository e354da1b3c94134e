"""Random changes of a training batch as a few tensor operations: first drawn, then applied."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from client.learning.images import FULL_SCALE
from protocol.sections import Augmentation


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """What is done to each image of a batch; a part that is None is left out.

    Attributes:
        flip: (n,) bool, mirrored left to right.
        angle: (n,) radians, counter-clockwise as seen. Given with `shift` and `zoom`, or none is.
        shift: (n, 2) to the right and down, shares of the width.
        zoom: (n,) factors of size, above 0.
        contrast: (n,) factors of the distance from the image's mean.
        brightness: (n,) added, share of full scale.
        noise: (n,) standard deviation, share of full scale.
        seed: of the noise itself.
    """

    flip: Tensor | None = None
    angle: Tensor | None = None
    shift: Tensor | None = None
    zoom: Tensor | None = None
    contrast: Tensor | None = None
    brightness: Tensor | None = None
    noise: Tensor | None = None
    seed: int = 0


def active(augmentation: Augmentation) -> bool:
    """Whether it changes anything."""
    return any(value > 0 for value in augmentation.model_dump().values())


def draw(augmentation: Augmentation, n: int, generator: torch.Generator) -> Drawn:
    """Parameters for n images, each uniform within the augmentation's limits.

    Args:
        augmentation: the limits.
        n: images in the batch.
        generator: of the CPU, whatever the images' device.
    """

    def within(limit: float, *shape: int) -> Tensor:
        return (torch.rand((n, *shape), generator=generator) * 2 - 1) * limit

    a = augmentation
    moves = a.rotate > 0 or a.shift > 0 or a.zoom > 0
    return Drawn(
        flip=torch.rand(n, generator=generator) < a.flip if a.flip else None,
        angle=within(math.radians(a.rotate)) if moves else None,
        shift=within(a.shift, 2) if moves else None,
        zoom=1 + within(a.zoom) if moves else None,
        contrast=1 + within(a.contrast) if a.contrast else None,
        brightness=within(a.brightness) if a.brightness else None,
        noise=torch.rand(n, generator=generator) * a.noise if a.noise else None,
        seed=int(torch.randint(2**62, (), generator=generator)) if a.noise else 0,
    )


def apply(images: Tensor, drawn: Drawn) -> Tensor:
    """The images so changed, on their device; the very tensor given where nothing was drawn.

    Pixels from beyond the border repeat the border. Values may leave [-2, 2].

    Args:
        images: (n, c, h, w), as `images.normalised` makes them; not changed.
        drawn: for n images.
    """

    def each(values: Tensor) -> Tensor:
        return values.to(images.device).view(-1, 1, 1, 1)

    if drawn.flip is not None:
        images = torch.where(each(drawn.flip), images.flip(-1), images)
    if drawn.angle is not None and drawn.shift is not None and drawn.zoom is not None:
        images = _moved(images, drawn.angle, drawn.shift, drawn.zoom)
    if drawn.contrast is not None:
        mean = images.mean(dim=(1, 2, 3), keepdim=True)
        images = mean + (images - mean) * each(drawn.contrast)
    if drawn.brightness is not None:
        images = images + each(drawn.brightness * FULL_SCALE)
    if drawn.noise is not None:
        field = torch.randn(images.shape, generator=torch.Generator().manual_seed(drawn.seed))
        images = images + field.to(images.device) * each(drawn.noise * FULL_SCALE)
    return images


def _moved(images: Tensor, angle: Tensor, shift: Tensor, zoom: Tensor) -> Tensor:
    """The images rotated, zoomed and shifted about their centre in one bilinear resampling."""
    height, width = images.shape[-2:]
    ratio = height / width
    cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    # The matrix looks up, for a point of the result, where in the image it comes from, in
    # coordinates of [-1, 1] on each axis; `ratio` keeps a rotation one in pixels.
    right, down = -2 * shift[:, 0], -2 * shift[:, 1] / ratio
    across = torch.stack((cos, -sin * ratio, cos * right - sin * ratio * down), dim=1)
    along = torch.stack((sin / ratio, cos, sin / ratio * right + cos * down), dim=1)
    matrix = torch.stack((across, along), dim=1).to(images.device)  # (n, 2, 3)
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)
