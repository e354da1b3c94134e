"""The runs of one table, held against each other: curves, paired differences, costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from pydantic import TypeAdapter

from simulations.arms import Arm as Named
from simulations.benchmarks.labels.results import trimmed
from simulations.benchmarks.labels.tracks import Track
from simulations.results.curves import common_range, curve
from simulations.results.outcomes import Arm, Choice, bounds, summarise
from simulations.results.paired import Paired, correct, pair
from simulations.results.records import Run, Runs, is_bound

REFERENCE = "random"

CLAIMED = 20
"""Pairs below which a table is exploratory."""

_RUN: TypeAdapter[Run] = TypeAdapter(Run)


@dataclass(frozen=True, slots=True)
class Cost:
    """What an arm cost, means over its runs.

    Attributes:
        query: processor seconds of a cycle's selections, over all sites: of the cycles in which
            the strategy chose, with the few that the random first labels took.
        report: the same of scoring the pools.
        minutes: of physicians, in all.
        megabytes: over the network, both ways, in all.
        wall: seconds of a whole run.
    """

    query: float
    report: float
    minutes: float
    megabytes: float
    wall: float


@dataclass(frozen=True, slots=True)
class Figures:
    """One table's numbers.

    Attributes:
        track: whose.
        arms: in the order first run, the bound last.
        losses: the same arms measured by log-loss, in the same order.
        aubc, final, worst: every arm but the bound against the reference, Holm-corrected: AUROC
            over the budget, at its end, and at its end at the site where it is lowest.
        worst_loss: the same of log-loss at the end at the site where it is highest.
        costs: by arm.
        left_out: runs that did not begin as the newest of their seed did.
        codes: the most versions of its code that one arm's runs are of; arms differ in their code.
        commits: those that the runs are of, in short.
        estimable: fewest and most sites of a run that have an AUROC at its end, and all sites.
    """

    track: Track
    arms: tuple[Arm, ...]
    losses: tuple[Arm, ...]
    aubc: Mapping[str, Paired]
    final: Mapping[str, Paired]
    worst: Mapping[str, Paired]
    worst_loss: Mapping[str, Paired]
    costs: Mapping[str, Cost]
    left_out: int
    codes: int
    commits: tuple[str, ...]
    estimable: tuple[int, int, int]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Every seed of any arm."""
        return tuple(sorted({o.seed for arm in self.arms for o in arm.outcomes}))


def figures(
    track: Track, lines: Sequence[Mapping[str, Any]], reference: str = REFERENCE
) -> Figures:
    """The numbers of the lines of one track, cell and split.

    Args:
        track: whose.
        lines: of kind "run", oldest first; the newest of an arm and seed counts.
        reference: the arm that others are compared with.
    """
    newest = {(line["arm"], line["seed"]): line for line in lines}
    kept, left_out = alike(list(newest.values()))
    runs = runs_of(kept)
    arms = _arms(runs, Choice(metric="auroc", scope=track.scope))
    losses = _arms(runs, Choice(metric="log_loss", scope=track.scope))
    versions = {(line["arm"], line["code"]) for line in kept}
    return Figures(
        track=track,
        arms=arms,
        losses=losses,
        aubc=_paired(arms, "aubc", reference),
        final=_paired(arms, "final", reference),
        worst=_paired(arms, "worst_final", reference),
        worst_loss=_paired(losses, "worst_final", reference, lower_is_better=True),
        costs={arm: _cost([x for x in kept if x["arm"] == arm]) for arm in runs.arms},
        left_out=left_out,
        codes=max(Counter(arm for arm, _ in versions).values(), default=0),
        commits=tuple(sorted({str(line["git"] or "unknown")[:7] for line in kept})),
        estimable=_estimable(kept),
    )


def _estimable(lines: Sequence[Mapping[str, Any]]) -> tuple[int, int, int]:
    sites = [line["cycles"][-1]["metrics"]["locked"]["sites"] for line in lines]
    found = [sum(_known(site.get("auroc")) for site in run.values()) for run in sites]
    return min(found, default=0), max(found, default=0), max(map(len, sites), default=0)


def _known(metric: Sequence[float | None] | None) -> bool:
    """Whether there is an estimate."""
    return metric is not None and metric[0] is not None


def runs_of(lines: Sequence[Mapping[str, Any]]) -> Runs:
    """The lines as runs, arms in the order they first appear."""
    runs = [
        _RUN.validate_python(
            {
                "arm": line["arm"],
                "seed": line["seed"],
                "identity": line["identity"],
                "weights": line["weights"],
                "data": line["cases"],
                "versions": line["versions"],
                "git": line["git"],
                "seconds": line["wall"],
                "study": line["study"],
                "multi_label": False,
                "cycles": line["cycles"],
            }
        )
        for line in lines
    ]
    order = {arm: i for i, arm in enumerate(dict.fromkeys(run.arm for run in runs))}
    runs.sort(key=lambda run: (is_bound(run.arm), order[run.arm], run.seed))
    return Runs((), tuple(runs), ())


def alike(lines: Sequence[Mapping[str, Any]]) -> tuple[list[Mapping[str, Any]], int]:
    """The lines that began as the newest of their seed did, to the last bit, and how many did not.

    Cases and the metrics of the first weights must be equal (their hash is of the layers' names,
    too, which a layer of dropout moved in older runs); so must the metrics after the first labels,
    for runs that train alike and share the first budget alike: arms that differ in their strategy
    alone.
    """
    newest: dict[tuple[Any, ...], str] = {}
    for line in sorted(lines, key=lambda x: str(x["when"]), reverse=True):
        for key, beginning in _beginnings(line):
            newest.setdefault(key, beginning)
    kept = [line for line in lines if all(newest[key] == found for key, found in _beginnings(line))]
    return kept, len(lines) - len(kept)


def _beginnings(line: Mapping[str, Any]) -> list[tuple[tuple[Any, ...], str]]:
    """What must be equal between arms of a seed: before any label, and after the first ones."""
    first = [line["cases"], trimmed(line["cycles"][0])["metrics"]]
    found: list[tuple[tuple[Any, ...], str]] = [((line["seed"],), repr(first))]
    if _asks_alone(line["arm"]):
        then = [trimmed(line["cycles"][1])["metrics"], line["cycles"][1]["labels"]]
        found.append(((line["seed"], "first labels"), repr(then)))
    return found


def _asks_alone(arm: str) -> bool:
    """Whether an arm changes the strategy alone, which the first cycle does not ask."""
    named = Named.parse(arm)
    own = ("query.strategy=", "query.arguments")
    return not (named.full or named.policy or named.attack) and all(
        key.startswith(own) for key in named.sets
    )


def _arms(runs: Runs, choice: Choice) -> tuple[Arm, ...]:
    """Every arm's outcomes; areas over the readings that all arms but the bound cover."""
    scope = choice.scope or "pooled"
    found = {
        arm: [
            curve(run, "locked", "pooled" if scope == "pooled" else "macro", choice.metric)
            for run in runs.of(arm)
        ]
        for arm in runs.arms
    }
    asked = [line for arm, lines in found.items() if not is_bound(arm) for line in lines]
    ranges = common_range(asked, "readings"), common_range(asked, "training_readings")
    return tuple(
        summarise(runs.of(arm), found[arm], choice, ranges, bounds(runs, found, arm))
        for arm in runs.arms
    )


def _paired(
    arms: Sequence[Arm], measure: str, reference: str, *, lower_is_better: bool = False
) -> dict[str, Paired]:
    """Every arm but the bound against the reference."""
    against = next((arm for arm in arms if arm.name == reference), None)
    if against is None:
        return {}
    found = [
        pair(
            (arm.name, reference),
            measure,
            arm.by_seed(measure),
            against.by_seed(measure),
            lower_is_better,
        )
        for arm in arms
        if arm is not against and not arm.is_bound
    ]
    return {p.arm: p for p in correct([p for p in found if p is not None])}


def _cost(lines: Sequence[Mapping[str, Any]]) -> Cost:
    def mean(values: Sequence[float]) -> float:
        return fmean(values) if values else 0.0

    cycles = [max(1, len(line["cycles"]) - 1) for line in lines]  # less the first weights
    chosen = [max(1, n - 1) for n in cycles]  # less the cold start
    seconds = [Counter(line["step_seconds"]) for line in lines]
    moved = [sum(x["bytes_down"].values()) + sum(x["bytes_up"].values()) for x in lines]
    return Cost(
        query=mean([s["select"] / n for s, n in zip(seconds, chosen, strict=True)]),
        report=mean([s["report"] / n for s, n in zip(seconds, cycles, strict=True)]),
        minutes=mean([line["cycles"][-1]["minutes"] for line in lines]),
        megabytes=mean([n / 1e6 for n in moved]),
        wall=mean([line["wall"] for line in lines]),
    )
