"""The weighted mean of the sites' arrays, one update in memory at a time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from protocol.records import Arrays, SiteUpdate

Means: TypeAlias = dict[str, NDArray[np.float64]]


def average(arrays: Arrays, updates: Iterable[SiteUpdate]) -> Means | None:
    """The mean of the updates' arrays, weighted by `SiteUpdate.weight`, in float64.

    A running mean: equal updates give exactly their own values, and no sum can overflow before the
    division. Each update is dropped before the next is asked for.

    Args:
        arrays: the global arrays, for their names and shapes.
        updates: one per site.
    Returns:
        The means by name; None where no update has weight.
    Raises:
        ValueError: see `Aggregator.step`.
    Source: McMahan et al., AISTATS 2017, algorithm 1, with weights n_k / n.
    """
    means = {name: np.zeros(a.shape, dtype=np.float64) for name, a in arrays.items()}
    spare = {name: np.empty(a.shape, dtype=np.float64) for name, a in arrays.items()}
    total, seen = 0.0, set[str]()
    for update in updates:
        check(arrays, update, seen)
        seen.add(update.site)
        if update.weight > 0:
            total += update.weight
            for name, mean in means.items():
                step = np.subtract(update.arrays[name], mean, out=spare[name], dtype=np.float64)
                step *= update.weight / total
                mean += step
        del update  # or the loop would hold it while the next one arrives
    return means if total > 0 else None


def cast(means: Mapping[str, NDArray[np.float64]], arrays: Arrays) -> dict[str, NDArray[Any]]:
    """The means in the dtype of each global array; whole-number arrays are rounded, not cut.

    Raises:
        ValueError: a value that the dtype cannot hold.
    """
    result: dict[str, NDArray[Any]] = {}
    for name, array in arrays.items():
        exact = means[name] if array.dtype.kind == "f" else np.rint(means[name])
        with np.errstate(over="ignore"):  # told below, with the array's name
            result[name] = np.asarray(exact).astype(array.dtype)
        if not np.isfinite(result[name]).all():
            raise ValueError(f"array '{name}' of the new model does not fit into {array.dtype}")
    return result


def check(arrays: Arrays, update: SiteUpdate, seen: set[str]) -> None:
    """Refuse an update that cannot be averaged, naming its site and array."""
    if update.site in seen:
        raise ValueError(f"two updates of site '{update.site}': accepted is one per round")
    if not (math.isfinite(update.weight) and update.weight >= 0):
        raise ValueError(
            f"update of site '{update.site}' has weight {update.weight}: "
            "accepted is a finite number of at least 0"
        )
    for name in sorted(arrays.keys() ^ update.arrays.keys()):
        word = "lacks" if name in arrays else "has an unknown"
        raise ValueError(
            f"update of site '{update.site}' {word} array '{name}': "
            f"accepted are the {len(arrays)} arrays of the global model"
        )
    for name, array in update.arrays.items():
        if array.shape != arrays[name].shape:
            raise ValueError(
                f"array '{name}' of site '{update.site}' has shape {array.shape}: "
                f"accepted is {arrays[name].shape}"
            )
        if bad := array.size - np.count_nonzero(np.isfinite(array)):
            raise ValueError(
                f"array '{name}' of site '{update.site}' holds {bad} values that are not finite: "
                "accepted are finite numbers"
            )
