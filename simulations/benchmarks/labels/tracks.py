"""The tracks: what each one's cases are, and what is measured on them."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from client.cases.cases import Cases
from protocol.study import Study, load
from simulations.benchmarks.labels.data import Build, hospitals, official, shifted
from simulations.benchmarks.labels.recipe import recipe
from simulations.results.curves import Scope
from simulations.studies import committed

Scored: TypeAlias = Literal["val", "test"]

FOLDER = "WARDROUND_DATA"
"""The variable that names the folder of the files; without it `../shared/data`."""

CONFIRMATION = range(100, 120)
"""Seeds of the test split, and of nothing else; all below are for development."""


class NoData(FileNotFoundError):
    """A track whose file is not there."""


@dataclass(frozen=True, slots=True)
class Track:
    """One track.

    Attributes:
        name: on the command line.
        title: for the tables.
        file: its name in the folder of data, or a path.
        study: the recipe.
        build: makes its cases.
        scope: of the AUROC: all sites' cases as one sample, or the mean over the sites.
    """

    name: str
    title: str
    file: str
    study: Study
    build: Build
    scope: Scope = "pooled"

    @property
    def path(self) -> Path:
        """Where its file is.

        Raises:
            NoData: nowhere.
        """
        root = Path(__file__).resolve().parents[3]
        path = Path(os.environ.get(FOLDER) or root.parent / "shared" / "data") / self.file
        if not path.is_file():
            raise NoData(
                f"track {self.name}: no file {path.name}; accepted is a folder that has it, "
                f"named by {FOLDER}"
            )
        return path

    def cases(self, seed: int, scored_on: Scored) -> Cases:
        """The cases of a seed.

        Raises:
            NoData: the file is not there.
            ValueError: see `check_seed`.
        """
        check_seed(seed, scored_on)
        return self.build(self.path, self.study, seed, scored_on)


def check_seed(seed: int, scored_on: Scored) -> None:
    """Keep development and confirmation apart.

    Raises:
        ValueError: the test split with a seed for development, or the other way round.
    """
    if (scored_on == "test") != (seed in CONFIRMATION):
        raise ValueError(
            f"seed {seed} on the {scored_on} split: accepted are seeds 0-99 on val, and "
            f"{CONFIRMATION.start}-{CONFIRMATION.stop - 1} on test"
        )
    if scored_on == "val" and not 0 <= seed < CONFIRMATION.start:
        raise ValueError(f"seed {seed} on the val split: accepted are 0-99")


_XRAY = ((1, 28, 28), ("normal", "pneumonia"))
_PNEUMONIA = "cls_pneumoniamnist_28.npz"


def _skewed(name: str, alpha: str) -> Track:
    study = recipe(f"labels-{name}", *_XRAY, split=f"dirichlet:{alpha}")
    return Track(name, f"label skew, Dirichlet {alpha}", _PNEUMONIA, study, official)


TRACKS: Mapping[str, Track] = {
    "A": _skewed("A", "0.5"),
    "A0.1": _skewed("A0.1", "0.1"),
    "A100": _skewed("A100", "100"),
    "B": Track(
        "B",
        "scanner shift and a rare disease",
        _PNEUMONIA,
        recipe("labels-B", *_XRAY),
        shifted,
        scope="macro",
    ),
    "C": Track(
        "C",
        "four natural hospitals, a table of numbers",
        "tab_heart_disease_4hospitals.npz",
        recipe(
            "labels-C",
            (1, 8, 8),
            ("no disease", "disease"),
            network="mlp",
            sites=4,
            labels=(16, 24, 6),
        ),
        hospitals,
    ),
    "D": Track(
        "D",
        "blood cells, three classes in colour",
        "cls_bccd_bloodcells_32.npz",
        recipe("labels-D", (3, 32, 32), ("a", "b", "c"), split="dirichlet:0.5"),
        official,
    ),
}


COMMITTED = Track(
    "pneumonia",
    "the committed pneumonia study",
    _PNEUMONIA,
    load(committed()["pneumonia"]),
    official,
)
"""No track of the label benchmark: the study as it is, which privacy is measured on."""


def track_of(name: str, file: Path | None = None) -> Track:
    """A track by its name; D also on any other MedMNIST file.

    Raises:
        ValueError: no track has that name, a file for one that is made from its own, or a file
            that is not of MedMNIST's kind.
    """
    if name == COMMITTED.name:
        return COMMITTED
    if name not in TRACKS:
        raise ValueError(f"track {name!r}: accepted is one of {', '.join(TRACKS)}")
    track = TRACKS[name]
    if file is None:
        return track
    if name != "D":
        raise ValueError(f"--file with track {name}: accepted is D")
    images, labels = _training(file)
    shape = (3 if images.ndim == 4 else 1, *images.shape[1:3])
    classes = [f"class {i}" for i in range(int(labels.max()) + 1)]
    study = recipe(f"labels-D-{file.stem}", shape, classes, split="dirichlet:0.5")
    named = f"D:{file.stem}"
    return replace(track, name=named, title=file.stem, file=str(file.resolve()), study=study)


def _training(file: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    """The training images and labels of a file, which tell what study it makes.

    Raises:
        ValueError: it has none, in one sentence.
    """
    wanted = "accepted is an .npz file with MedMNIST's keys"
    if not file.is_file():
        raise ValueError(f"--file {file.name}: no such file; {wanted}")
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as content:
            images, labels = content["train_images"], content["train_labels"]
    except KeyError as absent:
        raise ValueError(f"--file {file.name}: no {absent.args[0].split()[0]}; {wanted}") from None
    except (OSError, EOFError, TypeError, ValueError, zipfile.BadZipFile, zlib.error):
        raise ValueError(f"--file {file.name}: it cannot be read; {wanted}") from None
    numbered = labels.dtype.kind in "iu" and labels.shape == (len(images), 1)
    if images.ndim not in (3, 4) or not len(images) or not numbered:
        raise ValueError(f"--file {file.name}: no images with a label each; {wanted}")
    return images, labels
