"""A study with augmentation, against the plain loop with MONAI's transforms image by image."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from protocol.sections import Augmentation
from simulations.benchmarks.goals import Line
from simulations.benchmarks.plain_loop import Augment, plain_loop
from simulations.benchmarks.recipe import recipe_of
from simulations.benchmarks.runs import Clock, bench_study, ratios, run
from simulations.plan import plan_of
from simulations.processes import single_thread

CHANGES = {
    "flip": 0.5,
    "rotate": 10.0,
    "shift": 0.05,
    "zoom": 0.1,
    "brightness": 0.1,
    "contrast": 0.2,
    "noise": 0.05,
}
_FULL_SCALE = 4.0  # of the normalised images


def augmentation(quick: bool, repeats: int) -> Iterator[Line]:
    """Both end to end: the same cases, networks, steps and evaluation."""
    single_thread()
    rounds = 2 if quick else 20
    for network, goal in (("resnet", 3.0), ("tiny-cnn", None)):
        study = bench_study(network, 4, rounds, readings=192, augmentation=CHANGES)
        plan = plan_of(study, "phantom", ["default"], [study.seed])
        ours: list[float] = []
        peer: list[float] = []
        with tempfile.TemporaryDirectory() as place:
            recipe = recipe_of(study, run(study, Path(place) / "first").folder)
            by_image = image_by_image(study.training.augmentation, study.task.image[-1])
            for i in range(repeats):
                ours.append(run(study, Path(place) / f"{i}").seconds.wall)
                clock = Clock()
                plain_loop(recipe, plan.cases().images, by_image)
                peer.append(clock.seconds().wall)
        yield Line(
            f"MONAI's transforms over the engine, {network}",
            ratios(peer, ours),
            "at least",
            goal,
            note=f"flip, rotate, shift, zoom, contrast, brightness, noise of every image; "
            f"MONAI {median(peer):.1f} s, engine {median(ours):.1f} s; alike, not equal pixels",
        )


def image_by_image(limits: Augmentation, width: int) -> Augment:
    """MONAI's transforms with the same limits, without the metadata that they could carry along."""
    from monai.data.meta_obj import set_track_meta
    from monai.transforms.compose import Compose
    from monai.transforms.intensity.array import (
        RandGaussianNoise,
        RandScaleIntensityFixedMean,
        RandShiftIntensity,
    )
    from monai.transforms.spatial.array import RandAffine, RandFlip

    set_track_meta(False)
    transforms = Compose(
        [
            RandFlip(prob=limits.flip, spatial_axis=1),
            RandAffine(
                prob=1.0,
                rotate_range=math.radians(limits.rotate),
                translate_range=limits.shift * width,
                scale_range=limits.zoom,
                mode="bilinear",
                padding_mode="border",
            ),
            RandScaleIntensityFixedMean(prob=1.0, factors=limits.contrast),
            RandShiftIntensity(prob=1.0, offsets=limits.brightness * _FULL_SCALE),
            RandGaussianNoise(prob=1.0, std=limits.noise * _FULL_SCALE),
        ]
    )
    transforms.set_random_state(0)

    def augment(images: Tensor, draws: torch.Generator) -> Tensor:
        return torch.stack([transforms(image) for image in images])

    return augment
