"""What `make bench-labels` runs: the screen of every strategy, and the budget policies."""

from __future__ import annotations

from collections.abc import Iterable

from simulations.benchmarks.labels.one import Job
from simulations.benchmarks.labels.tracks import Scored
from strategies.query import QUERY

BALANCED = tuple(
    f"class-balanced+query.arguments.inner={inner}" for inner in ("coreset", "entropy")
)
"""The class-balanced quota over other strategies."""

_SCREENED = (
    "random",
    "full",
    "coreset",
    "badge",
    "logo",
    "ward",
    "fairfal",
    "feal",
    "feal+training.loss=evidential",
    "random+training.loss=evidential",
    "entropy",
    "typiclust",
    "probcover",
    "maxherding",
    "alfa-mix",
    "fedal",
    "kafal",
    "federated-typiclust",
    "powerbald+network.dropout=0.2",
    *BALANCED,
    "bald+network.dropout=0.2",
    "batchbald+network.dropout=0.2",
    "stochastic",
    "threshold-random",
    "cost-aware",
)
"""Arms of the screen, those first that matter most; what the table lacks is left out."""

COLD = tuple(f"ward+query.cold_start={name}" for name in ("typiclust", "probcover", "maxherding"))
"""The default strategy after first labels that were not drawn at random."""

WARMED = tuple(f"{name}+query.cold_start=typiclust" for name in ("random", "coreset"))
"""Other strategies after the same first labels."""

POLICIES = (
    "safe",
    "proportional",
    "uncertainty-mass",
    "threshold",
    "learning-curve",
    "hours",
    "neyman",
    "ucb",
    "thompson",
    "worst-site",
    "class-deficit",
)
"""Policies that are held against uniform, the one that moves budget only for a reason first."""

SHORT = "hours+budget.arguments.hours=0.1"
"""Six minutes a cycle at each site of track C: three readings where they take two."""

COSTED = ("safe", "neyman", "learning-curve", "ucb", "thompson", "hours", SHORT)
"""Policies that reckon with minutes."""

THRIFTY = 'safe+budget.arguments.minutes="always"+budget.arguments.power=1.0'
"""Safe where a cheaper reading counts from the first measured times on, in full."""

PAIRED = range(20, 40)
"""Seeds of the policies' pairs: on those before the noise that `safe` reckons with was mended."""


def strategies(names: Iterable[str] = _SCREENED) -> list[str]:
    """Those of the arms whose strategy the table has."""
    known = {"full", *QUERY}
    return [arm for arm in names if arm.partition("+")[0].partition("@")[0] in known]


def everything() -> list[Job]:
    """The development screen, and the budget policies against uniform."""
    jobs = screen(("A", "B", "C", "D"), range(5))
    jobs += screen(("D",), range(5), ["margin", "least-confidence"])  # entropy's picks with two
    jobs += screen(("A", "C"), range(5), COLD)
    jobs += screen(("B", "D"), range(5), COLD[:1])
    jobs += screen(("A",), range(5), WARMED)
    few = ["random", "full", "coreset", "ward", "badge", "logo"]
    jobs += screen(("A0.1", "A100"), range(5), strategies(few))
    jobs += screen(("A",), range(5), strategies(few[:5]), "resnet")
    jobs += screen(("A",), range(5), strategies(few[:4]), "shares")
    jobs += screen(("C",), PAIRED, against_uniform(POLICIES), "budgets")
    clustered = against_uniform(["coverage-deficit"], "federated-typiclust")
    jobs += screen(("C",), PAIRED, clustered, "budgets")
    jobs += screen(("C",), PAIRED, against_uniform((*COSTED, THRIFTY)), "minutes")
    jobs += screen(("B", "A"), PAIRED, against_uniform((*POLICIES[:1], THRIFTY)), "minutes")
    jobs += screen(("D",), PAIRED, against_uniform(POLICIES[:1]), "minutes")
    return jobs


def against_uniform(policies: Iterable[str], strategy: str = "ward") -> list[str]:
    """A strategy with the uniform policy, and with each of these."""
    return [strategy, *(f"{strategy}@{policy}" for policy in policies)]


def screen(
    tracks: Iterable[str],
    seeds: Iterable[int],
    arms: Iterable[str] | None = None,
    cell: str = "selectors",
) -> list[Job]:
    """Every arm on every seed of every track, seed by seed, so that pairs are whole early."""
    scored_on: Scored = "val"
    named = list(arms) if arms is not None else strategies()
    return [
        Job(track, cell, scored_on, arm, seed)
        for track in tracks
        for seed in seeds
        for arm in named
    ]


def quick() -> list[Job]:
    """A few runs of the smallest track, to see that all of it works."""
    jobs = screen(("C",), range(2), ["random", "full", "coreset", "entropy"])
    return jobs + screen(("C",), range(2), ["random", "random@proportional"], "minutes")
