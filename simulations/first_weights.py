"""A study's first weights: drawn from its seed, or those of a file (a pretrained network)."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.numpy import load_file

from client.learning.networks import initial_arrays
from protocol.records import Arrays
from protocol.study import Study, StudyError


def first_weights(study: Study, file: Path | None = None) -> Arrays:
    """The arrays that a study's first round starts from, by name.

    Args:
        study: its network, and its seed where there is no file.
        file: safetensors with every array of that network, and no other.
    Raises:
        StudyError: the file cannot be read, or an array differs in name, shape or dtype.
    """
    drawn = initial_arrays(study)
    if file is None:
        return drawn
    try:
        found = load_file(file)
    except (OSError, SafetensorError):
        raise StudyError(f"{file}: accepted is a safetensors file") from None
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
    return found
