"""A simulation that starts from the weights of a file, as a real study may."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from safetensors.numpy import save_file
from typer.testing import CliRunner

from client.learning.networks import initial_arrays
from protocol.codec import digest
from protocol.records import Arrays
from protocol.study import Study, StudyError, document
from simulations.cli import app
from simulations.first_weights import first_weights
from simulations.freezing import freeze_study
from simulations.replay import plan_again
from simulations.simulate import simulate


@pytest.fixture
def frozen(study: Callable[..., Study], tmp_path: Path) -> tuple[Path, Arrays]:
    """A study's folder frozen from weights that no seed draws, and those."""
    arrays = {name: (a * np.float32(1.5)) for name, a in initial_arrays(study()).items()}
    save_file(arrays, tmp_path / "pretrained")
    file = tmp_path / "small.toml"
    file.write_text(tomli_w.dumps(document(study())), encoding="utf-8")
    freeze_study(file, [], tmp_path / "frozen", tmp_path / "pretrained")
    return tmp_path / "frozen", arrays


@pytest.fixture
def call(small_npz: Path, tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """`wardround simulate` of a study with three sites; exit code, and what it says."""
    words = ["--data", str(small_npz), "--out", str(tmp_path / "out"), "--sites", "3"]

    def run(name: Path, *more: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["simulate", str(name), *words, *more])
        error = "" if done.exception is None else str(done.exception)
        return done.exit_code, error

    return run


@pytest.mark.slow
def test_all_arms_and_seeds_start_from_the_frozen_weights_and_a_replay_from_the_folders_copy(
    frozen: tuple[Path, Arrays], call: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    folder, arrays = frozen
    cold = "random+query.cold_start=coreset"
    assert call(folder, "--arms", f"random,{cold}", "--seeds", "2") == (0, "")
    (folder / "weights.safetensors").unlink()
    out = tmp_path / "out"
    simulate(plan_again(out / "random" / "seed-0", ["entropy"]), out, lambda task, event: None)
    runs = [json.loads(path.read_text()) for path in sorted(out.glob("*/seed-*/run.json"))]
    assert len(runs) == 5
    assert {run["weights"] for run in runs} == {digest(arrays)}


@pytest.mark.slow
def test_a_folder_keeps_to_its_first_weights(
    frozen: tuple[Path, Arrays], call: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    given = ("--arms", "random", "--seeds", "1")
    assert call(frozen[0], *given) == (0, "")
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.json*")}
    code, error = call(frozen[0] / "study.toml", *given)
    assert code != 0
    assert "holds another simulation (its first weights differ)" in error
    assert before == {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.json*")}


@pytest.mark.parametrize("block", [None, b"no weights"])
def test_a_file_that_holds_no_weights_is_refused(
    block: bytes | None, study: Callable[..., Study], tmp_path: Path
) -> None:
    if block is not None:
        (tmp_path / "weights").write_bytes(block)
    with pytest.raises(StudyError, match="weights: accepted is a safetensors file"):
        first_weights(study(), tmp_path / "weights")


def test_weights_of_another_network_are_refused(
    study: Callable[..., Study], tmp_path: Path
) -> None:
    one, file = study(), tmp_path / "weights"
    save_file(initial_arrays(study(network={"name": "mlp"})), file)
    with pytest.raises(StudyError, match="stands on one side only; accepted are the"):
        first_weights(one, file)
    wider = {name: np.zeros((*a.shape, 2), a.dtype) for name, a in initial_arrays(one).items()}
    save_file(wider, file)
    with pytest.raises(StudyError, match=r"float32\[.*\]; accepted is float32\["):
        first_weights(one, file)
    assert first_weights(one).keys() == wider.keys()


def test_weights_that_are_no_numbers_are_refused(
    study: Callable[..., Study], tmp_path: Path
) -> None:
    arrays = initial_arrays(study())
    next(iter(arrays.values())).flat[0] = np.nan
    save_file(arrays, tmp_path / "weights")
    with pytest.raises(StudyError, match="is not finite; accepted are finite weights"):
        first_weights(study(), tmp_path / "weights")
