"""What `make bench-privacy` runs: the committed pneumonia study, with privacy and without."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product, starmap

from simulations.benchmarks.labels.one import Job
from simulations.benchmarks.labels.tracks import COMMITTED, CONFIRMATION

NETWORKS: Mapping[str, str] = {
    "mlp": "+network.name=mlp+network.hidden=[4]",
    "tiny-cnn": "",
}
"""Networks by name, and what an arm says to have one; the second is the study's own."""

LABELS: Mapping[str, str] = {
    "264": "random{}+budget.first=264+budget.per_cycle=264",
    "all": "full{}",
}
"""How many labels, all of them in one cycle, and the arm that reads them."""

EPSILONS = (8, 2)

CONFIRMED = tuple(CONFIRMATION)[6:11]
"""Seeds of the table: their test split is looked at with what was settled on others."""

TRIED = (0,)
"""The seed of validation images."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How a private training goes.

    Attributes:
        steps: of DP-SGD in a round.
        rate: of learning.
        patients: looked at in a step, in the mean.
    """

    steps: int
    rate: float
    patients: int = 64


_BOTH = (*product((10,), (0.003, 0.01), (256,)), *product((30,), (0.01, 0.03), (16,)))

GRID: Mapping[str, tuple[Pace, ...]] = {
    "264": tuple(starmap(Pace, (*product((2, 10, 30), (0.003, 0.01, 0.03)), *_BOTH))),
    "all": tuple(
        starmap(
            Pace,
            (
                *product((10, 30), (0.003, 0.01, 0.03)),
                *((60, 0.03), (100, 0.01, 16), (100, 0.03, 16), (100, 0.1, 16)),
                *_BOTH,
            ),
        )
    ),
}
"""What is tried on validation images, by the number of labels."""

CHOSEN: Mapping[tuple[str, str, int], Pace] = {
    ("mlp", "264", 8): Pace(2, 0.03),
    ("mlp", "264", 2): Pace(2, 0.03),
    ("mlp", "all", 8): Pace(4, 0.01),
    ("mlp", "all", 2): Pace(4, 0.01),
    ("tiny-cnn", "264", 8): Pace(2, 0.03),
    ("tiny-cnn", "264", 2): Pace(2, 0.03),
    ("tiny-cnn", "all", 8): Pace(60, 0.03),
    ("tiny-cnn", "all", 2): Pace(60, 0.03),
}
"""What the table has, by network, labels and epsilon; the page says which of them were tried."""


def plain(network: str, labels: str) -> str:
    """The arm without privacy: the study's own training."""
    return LABELS[labels].format(NETWORKS[network])


def private(network: str, labels: str, epsilon: int, pace: Pace) -> str:
    """The arm with privacy."""
    return (
        f"{plain(network, labels)}+privacy.epsilon={epsilon}+training.start=warm"
        f"+training.batch_size={pace.patients}+training.min_steps={pace.steps}"
        f"+training.max_steps={pace.steps}+training.learning_rate={pace.rate}"
    )


def table(networks: Iterable[str], labels: Iterable[str], epsilons: Iterable[int]) -> list[Job]:
    """Every network on every number of labels, without privacy and with each epsilon."""
    arms, asked = [], list(epsilons)
    for network, count in product(networks, labels):
        arms.append(plain(network, count))
        arms += [private(network, count, e, CHOSEN[network, count, e]) for e in asked]
    return _jobs(CONFIRMED, arms)


def tried(networks: Iterable[str], labels: Iterable[str], epsilons: Iterable[int]) -> list[Job]:
    """The grid on validation images, and the arms without privacy beside it."""
    cells = list(product(networks, labels))
    arms = [plain(*cell) for cell in cells]
    for (network, count), epsilon in product(cells, epsilons):
        arms += [private(network, count, epsilon, pace) for pace in GRID[count]]
    return _jobs(TRIED, arms)


def quick() -> list[Job]:
    """Two runs, to see that all of it works."""
    pace = CHOSEN["mlp", "264", 8]
    return _jobs(TRIED[:1], [plain("mlp", "264"), private("mlp", "264", 8, pace)])


def _jobs(seeds: Iterable[int], arms: Iterable[str]) -> list[Job]:
    named = list(arms)
    return [
        Job(COMMITTED.name, "selectors", "test" if seed in CONFIRMATION else "val", arm, seed)
        for seed in seeds
        for arm in named
    ]
