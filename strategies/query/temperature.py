"""Probabilities as they would be had the logits been divided by a temperature."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def check_temperature(temperature: float) -> None:
    """Refuse a temperature that no logit can be divided by.

    Raises:
        ValueError: not finite, or 0 or less.
    """
    if not (np.isfinite(temperature) and temperature > 0):
        raise ValueError(
            f"argument 'temperature' is {temperature}; accepted is a finite number above 0"
        )


def tempered(p: NDArray[np.float64], temperature: float, multi_label: bool) -> NDArray[np.float64]:
    """Softmax, or in a multi-label task sigmoid, of the logits divided by the temperature.

    It is computed from the probabilities alone: p^(1/T), scaled to sum to 1. T = 1 changes no
    bit. With two classes no temperature changes an order of cases: entropy, margin and least
    confidence all rise as the two probabilities near each other, and T keeps who is nearer. With
    more classes, or several labels, the order can change.

    Args:
        p: (n, classes), each 0 to 1.
        temperature: T; above 1 flattens, below 1 sharpens.
        multi_label: classes are independent of each other.

    Source: Guo et al., ICML 2017, equation 9.
    """
    if temperature == 1 or p.size == 0:
        return p
    if multi_label:
        both = _powered(np.stack([p, 1 - p], axis=-1), temperature)  # (n, classes, 2)
        return np.asarray(both[..., 0])
    return _powered(p, temperature)


def _powered(p: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """p^(1/T) over its sum, last axis; divided by the largest first, so that 1 is among them."""
    powers = (p / p.max(axis=-1, keepdims=True)) ** (1 / temperature)
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
