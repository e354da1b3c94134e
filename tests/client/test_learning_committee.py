"""A site's own models: what they are trained on, when they stop, and the same bits again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from client.learning.committee import STEPS, Seen, every_signal, learn_alone, learn_on
from client.learning.networks import initial_arrays
from client.learning.resident import Resident
from client.learning.score import predict
from protocol.networks import TinyCNN
from protocol.sections import ClassName, Task, Training
from protocol.study import Study
from strategies.pool import Needs

torch.set_num_threads(1)  # as every worker of the engine does; more change the bits

IMAGE = (1, 12, 12)
EVERYTHING = frozenset(
    {"local_logits", "local_features", "scratch_probs", "scratch_labeled_probs", "ensemble_probs"}
)


def study_of(kind: Any = "single-label", **training: Any) -> Study:
    names = tuple(ClassName(name=f"c{i}", definition="d") for i in range(2))
    task = Task(kind=kind, image=IMAGE, classes=names)
    return Study(schema=1, name="tiny", task=task, network=TinyCNN(), training=Training(**training))


def seen_of(m: int, seed: int = 0) -> Seen:
    """Noise, with a bright patch whose place tells the class."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 120, (m + 9, *IMAGE), dtype=np.uint8)
    labels = np.arange(m + 9) % 2
    for image, label in zip(images, labels, strict=True):
        image[0, 2 : 5 + 3 * label, 2:5] = 250
    return Seen(images[m:], images[:m], np.eye(2)[labels[:m]])


def resident_of(study: Study) -> Resident:
    return Resident(study.network, study.task.image, len(study.task.classes))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def said(study: Study, needs: Needs, seen: Seen, seed: int = 0) -> dict[str, Any]:
    rngs = {name: rng(seed) for name in ("dropout", "local", "scratch")}
    return every_signal(resident_of(study), initial_arrays(study), study, needs, seen, rngs)


@pytest.mark.slow
def test_only_what_is_wanted_comes_back_read_only_and_the_same_again() -> None:
    study, seen = study_of(), seen_of(8)
    first, again = (said(study, Needs(EVERYTHING), seen) for _ in range(2))
    assert set(first) == EVERYTHING
    assert all(np.array_equal(first[name], again[name]) for name in EVERYTHING)
    assert not any(array.flags.writeable for array in first.values())
    assert first["ensemble_probs"].shape == (9, 3, 2)
    assert np.array_equal(first["ensemble_probs"][:, 2], first["scratch_probs"])
    assert first["scratch_labeled_probs"].shape == (8, 2)
    other = said(study, Needs(EVERYTHING), seen, seed=1)
    assert not np.array_equal(first["scratch_probs"], other["scratch_probs"])


def test_the_first_of_an_ensemble_is_the_global_model() -> None:
    study, seen = study_of(), seen_of(8)
    found = said(study, Needs(frozenset({"probs", "ensemble_probs"})), seen)
    resident = resident_of(study)
    resident.load(initial_arrays(study))
    assert np.array_equal(found["probs"], predict(resident, seen.pool, task=study.task).probs)
    assert np.array_equal(found["ensemble_probs"][:, 0], found["probs"])


def test_the_local_model_is_one_round_away_from_the_global_one() -> None:
    study, seen = study_of(min_steps=3, max_steps=3), seen_of(8)
    arrays, resident = initial_arrays(study), resident_of(study)
    learn_on(resident, arrays, study, seen, rng())
    moved = max(float(abs(resident.arrays()[k] - v).max()) for k, v in arrays.items())
    half = study.training.learning_rate / 2  # of the cosine's middle; Adam steps no farther
    assert 0 < moved <= 3 * half * 1.01


def test_the_scratch_model_owes_nothing_to_the_global_one() -> None:
    study, seen = study_of(), seen_of(8)
    resident = resident_of(study)
    learn_alone(resident, study, seen, rng())
    first = resident.arrays()
    resident.load({k: v + 1 for k, v in initial_arrays(study).items()})
    learn_alone(resident, study, seen, rng())
    assert all(np.array_equal(first[k], v) for k, v in resident.arrays().items())


def test_the_scratch_model_stops_when_it_gets_its_labels_right() -> None:
    study, seen = study_of(), seen_of(40)
    resident = resident_of(study)
    taken = learn_alone(resident, study, seen, rng())
    assert 3 <= taken < 150
    right = predict(resident, seen.labeled, task=study.task).probs.argmax(axis=1)
    assert (right == seen.targets.argmax(axis=1)).all()


@pytest.mark.slow
@pytest.mark.parametrize(("m", "size", "most"), [(4, 16, 50), (60, 1, STEPS)])
def test_the_scratch_model_gives_up_in_time(m: int, size: int, most: int) -> None:
    seen = seen_of(m)
    wrong = Seen(seen.pool, np.zeros_like(seen.labeled), seen.targets)  # nothing to tell by
    study = study_of(batch_size=size)
    assert learn_alone(resident_of(study), study, wrong, rng()) == most


def test_several_labels_of_a_case_are_learnt_alone_too() -> None:
    study, seen = study_of("multi-label"), seen_of(8)
    found = said(study, Needs(frozenset({"scratch_probs"})), seen)
    assert set(found) == {"scratch_probs"}
    assert (abs(found["scratch_probs"].sum(axis=1) - 1) > 1e-6).any()


@pytest.mark.parametrize(
    ("names", "models"),
    [
        ((), ()),
        (("labeled_targets", "minutes"), ()),
        (("features",), ("global",)),
        (("head_bias",), ("global",)),
        (("probs", "local_logits"), ("global", "local")),
        (("scratch_labeled_features",), ("scratch",)),
        (("ensemble_probs",), ("global", "local", "scratch")),
    ],
)
def test_needs_name_the_models_that_are_looked_at(
    names: tuple[str, ...], models: tuple[str, ...]
) -> None:
    assert Needs(frozenset(names)).models == set(models)
