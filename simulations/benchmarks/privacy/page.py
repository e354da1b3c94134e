"""`docs/benchmarks-privacy.md`, written from the results file and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import fmean, median
from typing import Any, TypeAlias

from simulations.arms import Arm
from simulations.benchmarks.labels.results import Results
from simulations.benchmarks.pages import origin
from simulations.benchmarks.privacy.programme import EPSILONS, LABELS, NETWORKS, plain
from simulations.results.paired import mean_interval

Line: TypeAlias = Mapping[str, Any]

GOAL = 0.05
"""The AUROC that a study may lose to privacy at epsilon 8."""

_HELD = 8

_HEAD = """# What differential privacy costs

Written by `make bench-privacy` from its results file; do not edit. The committed pneumonia study
(six sites, Dirichlet 0.5 label skew, random picks in one cycle, so many labels in all) on
PneumoniaMNIST, where every image counts as a patient of its own; without privacy, and with all of
epsilon spent at delta 1e-4 or 1e-5, by the size of a site. `mlp` is one hidden layer of four units,
`tiny-cnn` is the study's own network. Privacy is given the chosen cases ([privacy](privacy.md)).

A private arm has the seed's own split, first weights and labels in common with the arm without
privacy; it differs in DP-SGD, in batches of 64 (of all patients, where a site has fewer), and in
the pace below. *Lost* is the arm without privacy minus this one, seed by seed: the mean with
Student's 95 % interval over the seeds, then the median; the goal is held against both. AUROC is of
all sites' cases as one sample, after the last round; the range is that of the seeds.
"""

_TRIED = """## What was tried on validation images

Patients of a step, steps of a round and rates of Adam, 20 rounds, one seed; the table above has
what stands in `CHOSEN` of `simulations/benchmarks/privacy/programme.py`. The paces of `mlp` at
epsilon 8 are older: four seeds of a plain loop on validation images. Those of epsilon 2, and of
`tiny-cnn` at 264 labels, are the same ones. That the last was not tried first was a mistake, and
no pace that was tried since comes near the arm without privacy.

The rows of `mlp` at all labels were run a second time: until then the arm that reads everything
reckoned its training cases by a share of its grants that was meant for audit cases, and looked at
all patients in every step. Epsilon held; the pace was not the one that the page told.
"""


@dataclass(frozen=True, slots=True)
class Cell:
    """One network on so many labels at one epsilon.

    Attributes:
        network, labels: their names.
        epsilon: None without privacy.
        seeds: that it has.
        auroc: of each of them, pooled.
        worst: of each of them, at the site where it is lowest.
        lost: AUROC of the arm without privacy minus this one's, for the seeds that both have.
        spent: the most that a site spent on training.
    """

    network: str
    labels: str
    epsilon: int | None
    seeds: tuple[int, ...]
    auroc: tuple[float, ...]
    worst: tuple[float, ...]
    lost: tuple[float, ...]
    spent: float

    @property
    def reached(self) -> bool:
        """Whether it lost no more than it may, in the mean and in the median.

        In the mean alone a seed on which the arm without privacy learnt nothing would hide a loss.
        """
        return max(fmean(self.lost), median(self.lost)) <= GOAL


def page(results: Results) -> str:
    """The whole page."""
    runs = results.runs()
    parts = [_HEAD, origin(results), *_table([x for x in runs if x["scored_on"] == "test"])]
    parts += [*_tried([x for x in runs if x["scored_on"] == "val"]), *_log(results)]
    return "\n".join(parts).rstrip() + "\n"


def cells(runs: Sequence[Line]) -> list[Cell]:
    """What the runs say, in the order of the table; of equal seeds the last run."""
    found = []
    for network, labels in product(NETWORKS, LABELS):
        base = _by_seed(runs, plain(network, labels), None)
        for epsilon in (None, *EPSILONS):
            mine = _by_seed(runs, plain(network, labels), epsilon)
            if mine:
                found.append(_cell((network, labels, epsilon), mine, base))
    return found


def auroc(run: Line, scope: str = "pooled") -> float:
    """The last model's AUROC on the locked cases."""
    return float(run["cycles"][-1]["metrics"]["locked"][scope]["auroc"][0])


def _cell(
    named: tuple[str, str, int | None], mine: Mapping[int, Line], base: Mapping[int, Line]
) -> Cell:
    seeds = tuple(sorted(mine))
    both = [seed for seed in seeds if seed in base]
    spent = [site["training"] for run in mine.values() for site in run["privacy"].values()]
    return Cell(
        *named,
        seeds,
        tuple(auroc(mine[seed]) for seed in seeds),
        tuple(auroc(mine[seed], "worst") for seed in seeds),
        tuple(auroc(base[seed]) - auroc(mine[seed]) for seed in both),
        max(spent, default=0.0),
    )


def _by_seed(runs: Sequence[Line], arm: str, epsilon: int | None) -> dict[int, Line]:
    """The runs of an arm, or of it with privacy at that epsilon, by seed."""
    wanted = {*Arm.parse(arm).sets}

    def same(name: str) -> bool:
        parts = Arm.parse(name)
        if epsilon is None:
            return name == arm
        begins = parts.strategy == Arm.parse(arm).strategy
        private = f"privacy.epsilon={epsilon}" in parts.sets
        networks = {s for s in parts.sets if s.startswith(("network.", "budget."))}
        return begins and private and networks == wanted

    return {run["seed"]: run for run in runs if same(run["arm"])}


def _table(runs: Sequence[Line]) -> Iterator[str]:
    yield "## On test images\n"
    found = cells(runs)
    if not found:
        yield "Nothing was confirmed on test images yet.\n"
        return
    yield (
        "| network | labels | epsilon | n | AUROC (range) | lost (95 %); median | worst site | "
        f"spent on training | lost at most {GOAL:g} |"
    )
    yield "| --- " * 9 + "|"
    for c in found:
        held = c.epsilon == _HELD and c.lost  # nothing is lost where nothing stands beside it
        judged = ("reached" if c.reached else "**missed**") if held else ""
        count = "4,708" if c.labels == "all" else c.labels
        row = [
            c.network, count, "none" if c.epsilon is None else str(c.epsilon), str(len(c.seeds)),
            f"{fmean(c.auroc):.3f} ({min(c.auroc):.3f}-{max(c.auroc):.3f})",
            _lost(c.lost) if c.epsilon is not None else "reference", f"{fmean(c.worst):.3f}",
            f"{c.spent:.2f}" if c.epsilon is not None else "-", judged,
        ]  # fmt: skip
        yield f"| {' | '.join(row)} |"
    yield ""


def _lost(lost: Sequence[float]) -> str:
    if not lost:
        return "-"
    interval = mean_interval(lost)
    shown = "" if interval is None else f" ({interval[0]:+.3f} to {interval[1]:+.3f})"
    return f"{fmean(lost):+.3f}{shown}; {median(lost):+.3f}"


def _tried(runs: Sequence[Line]) -> Iterator[str]:
    """Every pace on validation images."""
    if not runs:
        return
    yield _TRIED
    yield "| network | labels | epsilon | patients | steps | rate | n | AUROC |"
    yield "| --- " * 8 + "|"
    for arm in sorted({run["arm"] for run in runs}, key=_order):
        told = dict(part.split("=", 1) for part in Arm.parse(arm).sets)
        mine = [auroc(run) for run in runs if run["arm"] == arm]
        row = [
            told.get("network.name", "tiny-cnn"), told.get("budget.first", "4,708"),
            told.get("privacy.epsilon", "none"), told.get("training.batch_size", "the study's"),
            told.get("training.max_steps", "the study's"),
            told.get("training.learning_rate", "the study's"), str(len(mine)),
            f"{fmean(mine):.3f}",
        ]  # fmt: skip
        yield f"| {' | '.join(row)} |"
    yield ""


def _order(arm: str) -> tuple[object, ...]:
    told = dict(part.split("=", 1) for part in Arm.parse(arm).sets)
    pace = (int(told.get("training.max_steps", 0)), float(told.get("training.learning_rate", 0)))
    return (
        "network.name" not in told,
        "budget.first" not in told,
        told.get("privacy.epsilon", ""),
        *pace,
    )


def _log(results: Results) -> Iterator[str]:
    """Every look at the test split, and every run that failed."""
    looks, failed = results.of("confirmation"), results.of("failed")
    yield f"## Looks at test images\n\n{len(looks)} lines, runs that failed: {len(failed)}.\n"
    for line in looks:
        yield f"* {line['when']}: {line['event']}, seeds {line['seeds']}, {len(line['arms'])} arms"
