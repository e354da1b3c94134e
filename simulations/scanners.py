"""A fixed look for the images of every simulated site, as if each had a machine of its own."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from protocol.seeds import Purpose, generator


@dataclass(frozen=True, slots=True)
class Scanner:
    """How one machine shows what it is given: blur, then coarser pixels, gamma, contrast, noise.

    Attributes:
        gamma: exponent on intensity in [0, 1], above 0; above 1 is darker.
        contrast: factor on the distance from mid-gray, at least 0.
        blur: sigma of a Gaussian, share of the image's width, at least 0.
        coarse: one value for each block of coarse x coarse pixels; 1 changes nothing.
        noise: standard deviation of added Gaussian noise, share of full scale, at least 0.
        seed: of the noise.
    """

    gamma: float = 1.0
    contrast: float = 1.0
    blur: float = 0.0
    coarse: int = 1
    noise: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what no machine does."""
        rest = (self.contrast, self.blur, self.noise, self.seed)
        if not (self.gamma > 0 and self.coarse >= 1 and all(value >= 0 for value in rest)):
            raise ValueError(f"{self}: accepted is gamma > 0, coarse >= 1, the others at least 0")

    def apply(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The images as this machine shows them, (n, channels, height, width) uint8.

        Noise depends on an image's content and the scanner alone, so an image looks the same
        whatever batch it comes in.
        """
        if not len(images):
            return images.copy()
        return np.stack([self._one(image) for image in images])

    def _one(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(channels, height, width) of one image."""
        shown = image.astype(np.float64) / 255
        if self.blur > 0:
            sigma = self.blur * image.shape[-1]
            shown = gaussian_filter(shown, (0, sigma, sigma), mode="nearest")
        if self.coarse > 1:
            shown = _blocks(shown, self.coarse)
        shown = 0.5 + self.contrast * (np.clip(shown, 0, 1) ** self.gamma - 0.5)
        if self.noise > 0:
            rng = np.random.default_rng((self.seed, zlib.crc32(np.ascontiguousarray(image).data)))
            shown = shown + self.noise * rng.standard_normal(shown.shape)
        return np.rint(np.clip(shown, 0, 1) * 255).astype(np.uint8)


def scanner(seed: int, site: int, machine: int = 0) -> Scanner:
    """A machine of a site, always the same for a study's seed, the site's number and its own.

    Gamma 0.67 to 1.5 (log-uniform), contrast 0.6 to 1.2, blur 0 to 3 % of the width, blocks of 1 or
    2 pixels, noise 0 to 5 % of full scale.
    """
    rng = generator(seed, site, machine, 0, Purpose.SCANNER)
    return Scanner(
        gamma=float(1.5 ** rng.uniform(-1, 1)),
        contrast=float(rng.uniform(0.6, 1.2)),
        blur=float(rng.uniform(0, 0.03)),
        coarse=int(rng.integers(1, 3)),
        noise=float(rng.uniform(0, 0.05)),
        seed=int(rng.integers(2**32)),
    )


def _blocks(image: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """The mean of every block of size x size pixels in place of its pixels."""
    height, width = image.shape[-2:]
    padded = np.pad(image, ((0, 0), (0, -height % size), (0, -width % size)), mode="edge")
    rows, columns = padded.shape[1] // size, padded.shape[2] // size
    means = padded.reshape(-1, rows, size, columns, size).mean(axis=(2, 4))
    shown: NDArray[np.float64] = means.repeat(size, axis=1).repeat(size, axis=2)
    return shown[:, :height, :width]
