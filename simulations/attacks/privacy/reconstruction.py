"""Images from updates of small batches, under honest and crafted global weights: the table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.cases.cases import CasesError
from client.cases.open import open_cases
from client.learning.images import normalised
from client.learning.networks import initial_arrays
from protocol.study import Study, load
from simulations.attacks.privacy.crafted import fishing, imprinting, read_imprint, read_units
from simulations.attacks.privacy.inversion import Search, invert
from simulations.attacks.privacy.likeness import likeness, nearest
from simulations.attacks.privacy.seen import ONE_STEP, private_update, summed, update
from simulations.studies import committed

EPSILON = 8.0
PRIVATE = ("training.start=warm", f"privacy.epsilon={EPSILON}")
_DP = f"DP-SGD, epsilon {EPSILON:g} on one step"
_EACH = 4  # cases of a class that the largest batch has
_OTHERS = 400
"""Images of others that an attacker has, as from any public set."""

Update = dict[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Line:
    """One attack on one batch.

    Attributes:
        attack: what the server does, in words.
        images: how many it is after.
        found: mean structural similarity of what it found to them; 1 where equal.
        best: of the one that it found best.
        nearest: mean similarity of the most similar of 400 other images, which no attack needs.
        shown: images to which what was found is more like than any of those others.
    """

    attack: str
    images: int
    found: float
    best: float
    nearest: float
    shown: int

    @classmethod
    def of(
        cls,
        words: str,
        images: NDArray[np.uint8],
        found: NDArray[np.uint8],
        others: NDArray[np.uint8],
    ) -> Line:
        """What the found images, in any order, tell of the true ones."""
        alike, other = likeness(found, images), nearest(others, images)
        shown = int((alike > other).sum())
        mean = float(alike.mean()), float(alike.max()), float(other.mean())
        return cls(words, len(images), *mean, shown)


@dataclass(frozen=True, slots=True)
class Material:
    """Images that are attacked, and what the attacker knows of such images.

    Attributes:
        images: (n, 1, height, width), of the pool.
        labels: (n,) classes.
        others: (m, 1, height, width), of the test split.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    others: NDArray[np.uint8]

    @classmethod
    def of(cls, source: str) -> Material:
        """The images of a source that the pneumonia study can take; "phantom" needs no file.

        Raises:
            CasesError: the source is refused, or has too few of them.
        """
        cases = open_cases(source, _study("tiny-cnn").task, 0)
        if cases.targets is None:
            raise CasesError(f"{source}: no labels; accepted is a source with one for every case")
        pool, test = cases.rows("pool"), cases.rows("test")[:_OTHERS]
        labels = cases.targets[pool].argmax(axis=1)
        least = min(np.bincount(labels, minlength=2))
        if least < _EACH or not len(test):
            raise CasesError(
                f"{source}: {least} cases of a class in the pool and {len(test)} in the test "
                f"split; accepted are {_EACH} and 1 or more"
            )
        return cls(cases.images[pool], labels, cases.images[test])

    def batch(self, *counts: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """The first so many cases of each class."""
        rows = np.concatenate([np.flatnonzero(self.labels == c)[:n] for c, n in enumerate(counts)])
        return self.images[rows], self.labels[rows]

    def brightness(self) -> tuple[float, float]:
        """Mean and standard deviation of the others' mean brightness, normalised."""
        means = normalised(self.others).numpy().mean(axis=(1, 2, 3))
        return float(means.mean()), float(means.std())


def reconstruction(material: Material, search: Search) -> Iterator[Line]:
    """Every attack of the table, one after another."""
    yield from connected(material)
    yield from convolutional(material, search)


def convolutional(material: Material, search: Search) -> Iterator[Line]:
    """Gradient inversion on tiny-cnn, whose labels the attacker knows."""
    study, usual = _study("tiny-cnn", *ONE_STEP), _study("tiny-cnn")
    private = _study("tiny-cnn", *ONE_STEP, *PRIVATE)
    start = initial_arrays(study)
    trap = fishing(start, 1)
    attack = _Attack(material, study, search)
    one, label = material.batch(0, 1)
    four, labels = material.batch(2, 2)
    alone, fished = material.batch(3, 1)
    yield attack.line("CNN, one SGD step", one, label, start, update(study, start, one, label))
    yield attack.line("CNN, one SGD step", four, labels, start, update(study, start, four, labels))
    yield attack.line(
        "CNN, a round as the study trains", one, label, start, update(usual, start, one, label)
    )
    sum_ = summed([update(study, start, four[[i]], labels[[i]]) for i in range(4)])
    words = "CNN, the sum of four sites' SGD steps (SecAgg+)"
    yield attack.line(words, four, labels, start, sum_)
    caught = update(study, trap, alone, fished)
    words = "CNN, crafted weights single one of four out (fishing), one SGD step"
    yield attack.line(words, alone[3:], fished[3:], trap, caught)
    noisy = private_update(private, start, one, label, EPSILON)
    yield attack.line(f"CNN, {_DP}", one, label, start, noisy)
    noisy = private_update(private, trap, alone, fished, EPSILON)
    yield attack.line(f"CNN, crafted weights, {_DP}", alone[3:], fished[3:], trap, noisy)


def connected(material: Material) -> Iterator[Line]:
    """What an MLP's first layer tells, with nothing but divisions."""
    study, usual = _study("mlp", *ONE_STEP), _study("mlp")
    private = _study("mlp", *ONE_STEP, *PRIVATE)
    honest = initial_arrays(study)
    trap = imprinting(study, honest, material.brightness())
    cases: tuple[tuple[str, Study, Mapping[str, NDArray[Any]], int, _Read], ...] = (
        ("MLP, one SGD step", study, honest, 1, read_units),
        ("MLP, one SGD step", study, honest, 8, read_units),
        ("MLP, a round as the study trains", usual, honest, 1, read_units),
        ("MLP, crafted weights (imprint), one SGD step", study, trap, 8, read_imprint),
        ("MLP, crafted weights, a round as the study trains", usual, trap, 8, read_imprint),
    )
    for words, how, start, count, read in cases:
        images, labels = material.batch(count // 2, count - count // 2)
        told = update(how, start, images, labels)
        yield Line.of(words, images, read(told, how), material.others)
    six, labels = material.batch(4, 4)
    sum_ = summed([update(study, trap, six[i : i + 2], labels[i : i + 2]) for i in (0, 2, 4, 6)])
    words = "MLP, crafted weights, the sum of four sites' SGD steps (SecAgg+)"
    yield Line.of(words, six, read_imprint(sum_, study), material.others)
    one, label = material.batch(0, 1)
    noisy = private_update(private, honest, one, label, EPSILON)
    yield Line.of(f"MLP, {_DP}", one, read_units(noisy, private), material.others)
    noisy = private_update(private, trap, six, labels, EPSILON)
    yield Line.of(
        f"MLP, crafted weights, {_DP}", six, read_imprint(noisy, private), material.others
    )


_Read = Callable[[Update, Study], NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class _Attack:
    material: Material
    study: Study
    search: Search

    def line(
        self,
        words: str,
        images: NDArray[np.uint8],
        labels: NDArray[np.int64],
        start: Mapping[str, NDArray[Any]],
        seen: Update,
    ) -> Line:
        """Invert what was seen, with the labels known."""
        found = invert(self.study, start, seen, labels, self.material.others, self.search)
        return Line.of(words, images, found, self.material.others)


def _study(network: str, *overrides: str) -> Study:
    return load(committed()["pneumonia"], [f"network.name={network}", *overrides])
