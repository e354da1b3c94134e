"""What the runs say: what an attack cost under each rule, and what inflating drew."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, TypeAlias

from simulations.arms import Arm
from simulations.benchmarks.attacks.programme import ADAPTED, PLAIN, POLICIES, RULES
from simulations.results.paired import mean_interval

Line: TypeAlias = Mapping[str, Any]

NEAR = 0.02
"""The AUROC that a study under attack may lose against the clean one."""

BELIEVED = 0.1
"""The share of marked images that a backdoor may win."""

DRAWN = 1.2
"""How many times its honest grants an inflating site may draw."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A number over seeds.

    Attributes:
        mean: of the seeds.
        interval: Student's 95 % interval; None with one seed.
    """

    mean: float
    interval: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """One rule under one attack, or without any.

    Attributes:
        rule: its name.
        attack: its name; "" for none.
        seeds: that this and clean FedAvg have.
        pooled, worst: AUROC of all cases, and of the site where it is lowest.
        pooled_lost, worst_lost: clean FedAvg minus this, seed by seed.
        believed: the share of marked images of other classes taken for the attacker's class; of
            the seeds whose model does not take every image for it anyway, NaN where none is.
        attacker_out: of its updates, the share that the server left out.
        others_out: the same of everybody else's.
    """

    rule: str
    attack: str
    seeds: tuple[int, ...]
    pooled: float
    worst: float
    pooled_lost: Measured
    worst_lost: Measured
    believed: float
    attacker_out: float
    others_out: float


@dataclass(frozen=True, slots=True)
class Drawn:
    """What an inflating site was granted under one policy.

    Attributes:
        policy: its name.
        seeds: of the pairs.
        ratio: granted in all over what the same site was granted when it reported honestly.
        most: the largest ratio of a seed.
    """

    policy: str
    seeds: tuple[int, ...]
    ratio: float
    most: float


def outcomes(lines: Sequence[Line]) -> list[Outcome]:
    """Every rule under every attack, of one track's lines of the cell "attacked"."""
    by_arm = _by_arm(lines)
    clean = by_arm.get(f"random{RULES[PLAIN]}", {})
    names = {f"random{part}": rule for rule, part in RULES.items()}
    found = []
    for arm, runs in by_arm.items():
        rule = names.get(arm.partition("~")[0])
        seeds = tuple(sorted(runs.keys() & clean.keys()))
        if rule and seeds:
            pairs = [(clean[seed], runs[seed]) for seed in seeds]
            found.append(_outcome(rule, Arm.parse(arm).attack, seeds, pairs))
    order = list(RULES)
    return sorted(found, key=lambda o: order.index(o.rule))


def _outcome(
    rule: str, attack: str, seeds: tuple[int, ...], pairs: Sequence[tuple[Line, Line]]
) -> Outcome:
    runs = [run for _, run in pairs]
    shares = [_left_out(run) for run in runs]
    return Outcome(
        rule,
        attack,
        seeds,
        fmean(auroc(run, "pooled") for run in runs),
        fmean(auroc(run, "worst") for run in runs),
        _lost(pairs, "pooled"),
        _lost(pairs, "worst"),
        _mean([run["backdoor"] for run in runs if run["backdoor"] is not None]),
        fmean(share for share, _ in shares),
        fmean(share for _, share in shares),
    )


def drawn(lines: Sequence[Line]) -> list[Drawn]:
    """Every policy's inflating site, of one track's lines of the cell "drained"."""
    by_arm, found = _by_arm(lines), []
    for policy, part in POLICIES.items():
        honest, evil = (by_arm.get(f"random{part}{end}", {}) for end in ("", "~inflate"))
        seeds = tuple(sorted(honest.keys() & evil.keys()))
        ratios = [_granted(evil[s], evil[s]) / _granted(honest[s], evil[s]) for s in seeds]
        if ratios:
            found.append(Drawn(policy, seeds, fmean(ratios), max(ratios)))
    return found


def auroc(run: Line, scope: str) -> float:
    """The last model's AUROC on the locked cases."""
    return float(run["cycles"][-1]["metrics"]["locked"][scope]["auroc"][0])


def holds(found: Sequence[Outcome], rule: str) -> bool:
    """Whether a rule reaches the goals under every attack under which plain FedAvg does not."""
    mine = {o.attack: o for o in found if o.rule == rule}
    missed = {o.attack for o in found if o.rule == PLAIN and not near(o)} - {*ADAPTED}
    return all(attack in mine and near(mine[attack]) for attack in missed)


def near(outcome: Outcome) -> bool:
    """Whether it lost no more than it may."""
    fooled = outcome.attack.endswith("backdoor") and outcome.believed >= BELIEVED
    lost = max(outcome.pooled_lost.mean, outcome.worst_lost.mean)
    return lost <= NEAR and not fooled


def _by_arm(lines: Sequence[Line]) -> dict[str, dict[int, Line]]:
    """Runs by arm and seed."""
    found: dict[str, dict[int, Line]] = {}
    for line in lines:
        found.setdefault(line["arm"], {})[line["seed"]] = line
    return found


def _lost(pairs: Sequence[tuple[Line, Line]], scope: str) -> Measured:
    lost = [auroc(clean, scope) - auroc(run, scope) for clean, run in pairs]
    return Measured(fmean(lost), mean_interval(lost))


def _mean(values: Sequence[float]) -> float:
    return fmean(values) if values else math.nan


def _left_out(run: Line) -> tuple[float, float]:
    """The shares of rounds in which the attacker was left out, and one of the others."""
    sites = run["cycles"][-1]["granted"]
    rounds = run["rounds"]
    evil = run["left_out"].get(run["attacker"], 0)
    others = sum(run["left_out"].values()) - evil
    return evil / rounds, others / rounds / (len(sites) - bool(run["attacker"]))


def _granted(run: Line, evil: Line) -> int:
    """All grants of the site that attacks in the other run."""
    return sum(cycle["granted"].get(evil["attacker"], 0) for cycle in run["cycles"])
