"""How like a reconstructed image is to the one that it should be."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from scipy.optimize import linear_sum_assignment

_WINDOW = 7  # pixels, and the two constants: Wang et al., IEEE TIP 2004
_LUMINANCE, _CONTRAST = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def likeness(answers: NDArray[np.uint8], truths: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(n,) structural similarity of each true image to the answer that it is matched with.

    Args:
        answers: (k, channels, height, width), k at least 1; matched one to one so that they are
            most alike in all.
        truths: (n, channels, height, width); those without an answer have 0.
    """
    table = np.array([[ssim(a, t) for a in answers] for t in truths])
    true, answer = linear_sum_assignment(-table)
    found = np.zeros(len(truths))
    found[true] = table[true, answer]
    return found


def nearest(others: NDArray[np.uint8], truths: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(n,) structural similarity of each true image to the most similar one of others."""
    return np.array([max(ssim(other, truth) for other in others) for truth in truths])


def ssim(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Structural similarity of two (channels, height, width) images: the mean over windows.

    Wang et al., IEEE Transactions on Image Processing 2004, with a flat window of 7 x 7.
    """
    x, y = one.astype(np.float64), other.astype(np.float64)
    n = _WINDOW**2

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        edge = _WINDOW // 2
        smooth = uniform_filter(values, size=(1, _WINDOW, _WINDOW))
        return np.asarray(smooth[:, edge:-edge, edge:-edge])

    mx, my = mean(x), mean(y)
    sample = n / (n - 1)
    vx, vy = sample * (mean(x * x) - mx**2), sample * (mean(y * y) - my**2)
    both = sample * (mean(x * y) - mx * my)
    top = (2 * mx * my + _LUMINANCE) * (2 * both + _CONTRAST)
    bottom = (mx**2 + my**2 + _LUMINANCE) * (vx + vy + _CONTRAST)
    return float((top / bottom).mean())
