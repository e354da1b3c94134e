"""What `make bench-attacks` runs: every attack under every rule, and the budget under inflation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from simulations.attacks import ATTACKS
from simulations.benchmarks.labels.one import Job
from simulations.benchmarks.labels.tracks import CONFIRMATION

TRACKS = ("A", "B")

PLAIN = "fedavg"
"""The rule that every other is held against, without an attack."""

RULES: Mapping[str, str] = {
    PLAIN: "",
    "median": "+aggregation.name=median",
    "trimmed-mean": "+aggregation.name=trimmed-mean+aggregation.arguments.share=0.16",
    "multi-krum": "+aggregation.name=multi-krum",
    "multi-krum-history": "+aggregation.name=multi-krum-history",
    "norm-bound": "+aggregation.name=norm-bound",
}
"""Rules by name, and what an arm says to have one."""

ON_UPDATES = tuple(name for name in ATTACKS if name != "inflate")
"""Attacks on the model; the other one is on the budget."""

ADAPTED = ("quiet-backdoor",)
"""Of them those made for rules that go by length: told, and held against no goal."""

FLOOR = "withhold"
"""And no attack at all, under plain averaging alone: what is lost where its labels are missing."""

POLICIES: Mapping[str, str] = {
    "uncertainty-mass": "@uncertainty-mass",
    "uncertainty-mass, all believed": (
        "@uncertainty-mass+budget.arguments.trust=1.0+budget.arguments.span=1000.0"
    ),
}
"""A budget policy that reads what a site says of its uncertainty."""

CONFIRMED = tuple(CONFIRMATION)[:5]
"""Seeds of the table: their test split is looked at with what was settled on others."""

FRESH = tuple(CONFIRMATION)[5:10]
"""Seeds that nothing was looked at with before `CHANGED` was changed for the last time."""

CHANGED = "multi-krum-history"
"""A rule that was changed once more after seeds of the table had been seen under it."""


def updates(
    seeds: Iterable[int], rules: Sequence[str], attacks: Sequence[str] = ON_UPDATES
) -> list[Job]:
    """Every rule without an attack and under each, seed by seed."""
    named = []
    for rule in rules:
        arm = f"random{RULES[rule]}"
        told = [attack for attack in attacks if rule == PLAIN or attack != FLOOR]
        named += [arm, *(f"{arm}~{attack}" for attack in told)]
    return _jobs(seeds, "attacked", named)


def budgets(seeds: Iterable[int]) -> list[Job]:
    """Every policy with an honest site, and with one that inflates."""
    arms = [f"random{policy}" for policy in POLICIES.values()]
    return _jobs(seeds, "drained", [name for arm in arms for name in (arm, f"{arm}~inflate")])


def everything() -> list[Job]:
    """The table of the page."""
    again = updates(FRESH, [PLAIN, CHANGED])
    return updates(CONFIRMED, list(RULES)) + again + budgets(CONFIRMED)


def quick() -> list[Job]:
    """A few runs, to see that all of it works."""
    few = updates([0], [PLAIN, "median"], ["scale"])[:4]
    return few + budgets([0])[:2]


def _jobs(seeds: Iterable[int], cell: str, arms: Sequence[str]) -> list[Job]:
    return [
        Job(track, cell, "test" if seed in CONFIRMATION else "val", arm, seed)
        for seed in seeds
        for track in TRACKS
        for arm in arms
    ]
