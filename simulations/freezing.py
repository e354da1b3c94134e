"""`wardround study freeze`: the study without its rehearsal, and its first weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tomli_w
from safetensors import SafetensorError
from safetensors.numpy import load_file

from client.learning.networks import initial_arrays
from protocol.codec import digest, pack
from protocol.files import replace_file
from protocol.records import Arrays, GlobalState
from protocol.study import Study, StudyError, document, load
from simulations.plan import write_text
from strategies.chosen import decisions


def freeze_study(
    file: Path, overrides: Sequence[str], out: Path, weights: Path | None
) -> tuple[str, str]:
    """Write `study.toml` and `weights.safetensors`; the identity and the weights' hash.

    Raises:
        StudyError: the study is refused, the weights do not fit, or other frozen files are there.
    """
    study = load(file, overrides)
    decisions(study)  # what a site would refuse is refused here: no strategies from outside
    if study.privacy is not None:
        from client.privacy.per_patient import check_network  # brings torch

        check_network(study)
    arrays = initial_arrays(study) if weights is None else _pretrained(study, weights)
    target = out / "weights.safetensors"
    block = pack(GlobalState(arrays))
    if target.exists() and target.read_bytes() != block:
        raise StudyError(f"{out} holds other frozen weights; accepted is a new folder")
    out.mkdir(parents=True, exist_ok=True)
    content = document(study)
    content.pop("simulation")
    write_text(out / "study.toml", tomli_w.dumps(content))
    replace_file(target, block, sync=True)
    return study.identity, digest(arrays)


def _pretrained(study: Study, weights: Path) -> Arrays:
    """Arrays of a safetensors file that fit the study's network, by name, shape and dtype."""
    wanted = initial_arrays(study)
    try:
        found = load_file(weights)
    except (OSError, SafetensorError):
        raise StudyError(f"{weights}: accepted is a safetensors file") from None
    if set(found) != set(wanted):
        odd = sorted(set(found) ^ set(wanted))[0]
        raise StudyError(
            f"{weights}: array {odd!r} stands on one side only; accepted are the "
            f"{len(wanted)} arrays of network {study.network.name}"
        )
    for name, array in wanted.items():
        if found[name].shape != array.shape or found[name].dtype != array.dtype:
            raise StudyError(
                f"{weights}: array {name!r} is {found[name].dtype}{list(found[name].shape)}; "
                f"accepted is {array.dtype}{list(array.shape)}"
            )
    return found
