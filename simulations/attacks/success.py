"""How far a backdoor went: what the last model of a run says of marked test images."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from client.cases.cases import Cases
from protocol.study import Study
from server.models import ModelShelf
from simulations.arms import Arm
from simulations.attacks import ATTACKS
from simulations.attacks.backdoor import success


def is_backdoor(arm: str) -> bool:
    """Whether an arm's attack is one whose success is measured on marked images."""
    attack = Arm.parse(arm).attack
    return bool(attack) and ATTACKS[attack].backdoor


def backdoor_success(folder: Path, study: Study, cases: Cases, images: Path) -> float | None:
    """The share of test images of other classes that the mark turns, by a run's last model.

    Measured in honest arms, too: what a model that was never shown the mark makes of it is what to
    compare with.

    Args:
        folder: of the run.
        cases: with targets; those of the split "test" are looked at.
        images: of `write_images`, all cases as their sites' scanners show them.
    Returns:
        in [0, 1]; None where there is no model or no such image.
    """
    models = sorted((folder / "models").glob("*.safetensors"))
    rows = np.array([i for i, split in enumerate(cases.splits) if split == "test"], dtype=np.int64)
    if not models or not len(rows) or cases.targets is None:
        return None
    shown = np.load(images, mmap_mode="r", allow_pickle=False)
    state = ModelShelf(folder / "models").load(models[-1].name)
    share = success(study, state.arrays, np.asarray(shown[rows]), cases.targets[rows])
    return None if np.isnan(share) else round(share, 4)
