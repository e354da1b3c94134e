"""Global weights that a dishonest server makes so that updates show images.

They have the names, shapes and types of the study's own, which is all that a site can check.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from protocol.records import Arrays
from protocol.study import Study

_SURE = 12.0  # logit: cases of the other classes are right already, and their gradient is nothing


def imprinting(
    study: Study, start: Arrays, brightness: tuple[float, float]
) -> dict[str, NDArray[Any]]:
    """Weights of an MLP whose first layer sorts images into bins by their mean brightness.

    Fowl et al., ICLR 2022 (Robbing the fed): a unit is on for images brighter than its threshold,
    so neighbouring units' gradients differ by the images in between.

    Args:
        study: its network is an MLP.
        start: its honest weights.
        brightness: mean and standard deviation that the server expects, of normalised images.
    """
    names = _linear(start)
    arrays = {name: np.array(array) for name, array in start.items()}
    first, *middle, last = names
    units, pixels = arrays[f"{first}.weight"].shape
    quantiles = (np.arange(units) + 0.5) / units
    thresholds = norm.ppf(quantiles, *brightness)
    arrays[f"{first}.weight"][:] = 1 / pixels
    arrays[f"{first}.bias"][:] = -thresholds
    for name in middle:  # every unit passes on the same, and back comes the same to every unit
        arrays[f"{name}.weight"][:] = 1 / arrays[f"{name}.weight"].shape[1]
        arrays[f"{name}.bias"][:] = 1.0
    arrays[f"{last}.weight"][:] = 0.01 * np.sign(np.arange(len(study.task.classes)) - 0.5)[:, None]
    arrays[f"{last}.bias"][:] = 0
    return arrays


def read_imprint(update: dict[str, NDArray[np.float64]], study: Study) -> NDArray[np.uint8]:
    """(k, *task.image) the images that an update of imprinting weights shows, one for each bin."""
    first = _linear(update)[0]
    weights, biases = update[f"{first}.weight"], update[f"{first}.bias"]
    found = []
    ends = np.append(biases, 0.0), np.vstack([weights, np.zeros(weights.shape[1])])
    for bin_ in range(len(biases)):
        amount = ends[0][bin_] - ends[0][bin_ + 1]
        if abs(amount) > 1e-3 * float(np.abs(biases).max()):
            found.append((ends[1][bin_] - ends[1][bin_ + 1]) / amount)
    return _pixels(found, study)


def read_units(update: dict[str, NDArray[np.float64]], study: Study) -> NDArray[np.uint8]:
    """(1, *task.image) what the unit of an MLP with the largest gradient saw.

    With one image it is that image, whatever the weights (Boenisch et al., EuroS&P 2023).
    """
    first = _linear(update)[0]
    weights, biases = update[f"{first}.weight"], update[f"{first}.bias"]
    unit = int(np.abs(biases).argmax())
    return _pixels([weights[unit] / (biases[unit] or 1.0)], study)


def fishing(start: Arrays, class_: int) -> dict[str, NDArray[Any]]:
    """Weights under which only cases of one class have a gradient.

    Wen et al., ICML 2022 (Fishing for user data): the last bias makes all other classes certain, so
    one case of a rare class in a batch is as if it were alone.
    """
    arrays = {name: np.array(array) for name, array in start.items()}
    name = _linear(start)[-1]
    bias = arrays[f"{name}.bias"]
    bias[:] = _SURE
    bias[class_] = 0
    return arrays


def _linear(arrays: Arrays | dict[str, NDArray[np.float64]]) -> list[str]:
    """Names of the linear layers, in the network's order."""
    return [
        name.removesuffix(".weight")
        for name, array in arrays.items()
        if name.endswith(".weight") and array.ndim == 2
    ]


def _pixels(rows: list[NDArray[np.float64]], study: Study) -> NDArray[np.uint8]:
    """Normalised rows as images; a gray one where there are none."""
    values = np.array(rows or [np.zeros(int(np.prod(study.task.image)))])
    shown: NDArray[np.uint8] = np.rint(np.clip(values / 4 + 0.5, 0, 1) * 255).astype(np.uint8)
    return shown.reshape(len(values), *study.task.image)
