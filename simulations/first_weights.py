"""A study's first weights: drawn from its seed, or those of a file (a pretrained network)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from client.learning.networks import initial_arrays
from protocol.codec import CodecError, unpack
from protocol.records import Arrays, GlobalState
from protocol.study import Study, StudyError


def first_weights(study: Study, file: Path | None = None) -> Arrays:
    """The arrays that a study's first round starts from, by name.

    Args:
        study: its network, and its seed where there is no file.
        file: safetensors with every array of that network, and no other.
    Raises:
        StudyError: the file cannot be read, or an array differs in name, shape or dtype, or is not
            finite.
    """
    drawn = initial_arrays(study)
    if file is None:
        return drawn
    found = _arrays(file)
    if set(found) != set(drawn):
        odd = sorted(set(found) ^ set(drawn))[0]
        raise StudyError(
            f"{file}: array {odd!r} stands on one side only; accepted are the "
            f"{len(drawn)} arrays of network {study.network.name}"
        )
    for name, array in drawn.items():
        if found[name].shape != array.shape or found[name].dtype != array.dtype:
            raise StudyError(
                f"{file}: array {name!r} is {found[name].dtype}{list(found[name].shape)}; "
                f"accepted is {array.dtype}{list(array.shape)}"
            )
        if not np.isfinite(found[name]).all():
            raise StudyError(f"{file}: array {name!r} is not finite; accepted are finite weights")
    return found


def _arrays(file: Path) -> Arrays:
    """What is in a file of safetensors, or in one that `study freeze` wrote."""
    try:
        block = file.read_bytes()
        try:
            return unpack(GlobalState, block).arrays
        except CodecError:
            return load(block)
    except (OSError, SafetensorError):
        raise StudyError(f"{file}: accepted is a safetensors file") from None
