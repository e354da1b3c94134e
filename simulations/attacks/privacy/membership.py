"""Membership of labeled cases in a run's last model, guessed from their losses.

Yeom et al., CSF 2018: a case with a small loss is taken for a member. The attacker has the model
that the server has in any case, and a case with its right label in hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from client.learning.resident import Resident
from client.learning.score import predict
from client.opening import open_home
from protocol.records import Indices
from protocol.study import Study
from server.models import ModelShelf
from simulations.plan import Plan, PlanError, Task
from simulations.results.runs import asked_for
from simulations.run import refuse_other_data

_FALSE = 0.05  # false alarms at which hits are told


@dataclass(frozen=True, slots=True)
class Membership:
    """How well members are told from others.

    Attributes:
        members: cases that were trained on.
        others: cases of the same pools that never were, of patients of whom none was.
        auc: of the losses; 0.5 is a coin's.
        hits: share of members found where 5 % of the others are taken for members, too.
    """

    members: int
    others: int
    auc: float
    hits: float


def targets_of(out: Path, source: str = "") -> NDArray[np.uint8]:
    """The (n, classes) answers to all cases of a simulation.

    Args:
        out: folder of `wardround simulate`.
        source: of the cases, where they have moved.

    Raises:
        PlanError: the cases are gone, or are others.
    """
    cases = Plan.load(out).moved_to(source).cases()
    refuse_other_data(asked_for(out), cases, out)
    assert cases.targets is not None  # noqa: S101 - a simulation has labels
    return cases.targets


def membership(out: Path, arm: str, seed: int, targets: NDArray[np.uint8]) -> Membership:
    """Attack the last model of a finished run.

    Args:
        out: folder of `wardround simulate`.
        arm: of the run, with its seed.
        targets: of `targets_of`, the same for all runs of the folder.

    Raises:
        PlanError: no such run, its sites or models are gone, its task has several labels, or it
            labeled all or nothing.
    """
    task = Task(out, arm, seed)
    if not task.finished():
        raise PlanError(f"{out}: no finished run of arm {arm!r} with seed {seed}")
    study = Plan.load(out).study_of(arm, seed)
    if study.task.multi_label:
        raise PlanError("membership: a task of several labels; accepted is one of a single label")
    resident = Resident(study.network, study.task.image, len(study.task.classes))
    models, homes = sorted((task.folder / "models").glob("*.safetensors")), _homes(task.folder)
    if not models or not homes:
        raise PlanError(f"{task.folder}: its models or its sites are gone; accepted is with both")
    resident.load(ModelShelf(task.folder / "models").load(models[-1].name).arrays)
    found = [_of_site(home, study, resident, targets) for home in homes]
    members = np.concatenate([inside for inside, _ in found])
    others = np.concatenate([outside for _, outside in found])
    if not len(members) or not len(others):
        raise PlanError(f"{out}: arm {arm!r} labeled all cases or none; accepted is a part of them")
    return told_apart(members, others)


def told_apart(members: NDArray[np.float64], others: NDArray[np.float64]) -> Membership:
    """How well a threshold on losses tells members, which have smaller ones."""
    ranks = rankdata(-np.concatenate([members, others]))
    n, m = len(members), len(others)
    auc = (ranks[:n].sum() - n * (n + 1) / 2) / (n * m)
    threshold = np.quantile(others, _FALSE)
    return Membership(n, m, float(auc), float((members < threshold).mean()))


def case_losses(
    resident: Resident, study: Study, images: NDArray[np.uint8], targets: NDArray[np.uint8]
) -> NDArray[np.float64]:
    """(n,) cross-entropies of single-label cases with (n, classes) targets."""
    if not len(images):
        return np.zeros(0)
    probs = predict(resident, images, task=study.task).probs
    right = probs[np.arange(len(images)), targets.argmax(axis=1)]
    found: NDArray[np.float64] = -np.log(np.maximum(right, 1e-300))
    return found


def _homes(folder: Path) -> list[Path]:
    return sorted(home.parent for home in (folder / "sites").glob("*/site.toml"))


def _of_site(
    home: Path, study: Study, resident: Resident, targets: NDArray[np.uint8]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Losses of the site's labeled cases, and of those of other patients of its pool."""
    site = open_home(home)
    try:
        labeled, _ = site.store.labels.settled(study.identity)
        pool = site.store.cases.pool(study.identity, study.audit.patients, study.budget.total)
        known = site.store.cases.patients(labeled)
        others = pool[~np.isin(site.store.cases.patients(pool), known)]

        def losses(ids: Indices) -> NDArray[np.float64]:
            rows = site.store.cases.rows(ids)
            images = site.images.take(rows, study.task.image)
            return case_losses(resident, study, images, targets[rows])

        return losses(labeled), losses(others)
    finally:
        site.store.close()


def runs_of(out: Path) -> list[tuple[str, int]]:
    """The arms and seeds of a simulation, as its plan names them.

    Raises:
        PlanError: there is no simulation.
        NotARun: its plan is damaged or another version's.
    """
    if not (out / "plan.json").is_file():
        raise PlanError(f"{out}: no simulation; accepted is a folder of `simulate`")
    plan = Plan.load(out)
    return [(arm, seed) for arm in plan.arms for seed in plan.seeds if arm != "full"]
