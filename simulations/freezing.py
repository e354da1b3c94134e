"""`wardround study freeze`: the study without its rehearsal, and its first weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tomli_w

from protocol.codec import digest, pack
from protocol.files import replace_file
from protocol.records import GlobalState
from protocol.study import StudyError, document, load
from simulations.first_weights import first_weights
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
    arrays = first_weights(study, weights)
    target, written = out / "weights.safetensors", out / "study.toml"
    block = pack(GlobalState(arrays))
    if target.exists() and target.read_bytes() != block:
        raise StudyError(f"{out} holds other frozen weights; accepted is a new folder")
    content = document(study)
    content.pop("simulation")
    text = tomli_w.dumps(content)
    if written.exists() and written.read_bytes() != text.encode():
        raise StudyError(f"{out} holds another study; accepted is a new folder")
    out.mkdir(parents=True, exist_ok=True)
    write_text(written, text)
    replace_file(target, block, sync=True)
    return study.identity, digest(arrays)
