"""What a step of DP-SGD costs over one without."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
import torch

from client.learning.networks import initial_arrays
from client.learning.optimizers import rule
from client.learning.resident import Resident
from client.learning.train import Pace, Trainer
from client.privacy.chance import SystemChance
from client.privacy.dp_sgd import Labeled, Schedule, Step
from protocol.study import Study, parse
from simulations.benchmarks.goals import Line
from simulations.benchmarks.runs import ratios
from simulations.processes import single_thread

_CASES = 256
_RATE = 1e-4


def steps(quick: bool, repeats: int) -> Iterator[Line]:
    """Both sides take turns on the same images, weights and optimizer; noise from the system."""
    single_thread()
    for network in ("resnet", "tiny-cnn"):
        for batch in (16, 64):
            each = 2 if quick else 20
            plain, private = _sides(_study(network, batch), batch)
            plain(2)
            private(2)
            times = [(plain(each), private(each)) for _ in range(repeats)]
            ours = [t for _, t in times]
            rate = batch / float(np.median(ours))
            yield Line(
                f"a step of DP-SGD over one without, {network}, {batch} images",
                ratios(ours, [t for t, _ in times]),
                "at most",
                3.0,
                note=f"processor time; {1e3 * float(np.median(ours)):.1f} ms, {rate:.0f} images/s",
            )


def _sides(study: Study, batch: int) -> tuple[Callable[[int], float], Callable[[int], float]]:
    """Both sides: take so many steps, and say for how long a processor was held by each."""
    resident = Resident(study.network, study.task.image, 2)
    resident.load(initial_arrays(study))
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (_CASES, *study.task.image), dtype=np.uint8)
    targets = np.eye(2, dtype=np.float32)[rng.integers(0, 2, _CASES)]
    trainer = Trainer(resident, images, targets, study, Pace(_RATE), rng)
    schedule = Schedule(1.0, batch / _CASES, 1, float(batch))
    labeled = Labeled(images, targets, np.arange(_CASES))
    step = Step(resident, labeled, study, schedule, SystemChance(), rng)
    update = rule(resident, study.training, _RATE)
    rows = np.arange(batch)

    def plain(count: int) -> float:
        began = time.process_time()
        trainer.learn(torch.from_numpy(rows) for _ in range(count))
        return (time.process_time() - began) / count

    def private(count: int) -> float:
        began = time.process_time()
        with step.watching():
            for _ in range(count):
                resident.gradient.copy_(step.noisy(rows))
                update()
        return (time.process_time() - began) / count

    return plain, private


def _study(network: str, batch: int) -> Study:
    names = ("no opacity", "opacity")
    return parse(
        {
            "schema": 1,
            "name": "bench",
            "task": {
                "image": [1, 28, 28],
                "classes": [{"name": n, "definition": n} for n in names],
            },
            "network": {"name": network},
            "training": {"start": "warm", "batch_size": batch},
            "privacy": {"epsilon": 8.0, "physical_batch": 64},
        }
    )
