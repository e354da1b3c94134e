"""The decisions a study has chosen, built from the tables and checked against each other."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar, cast

from protocol.clusters import NAME
from protocol.secagg import LEAST_SITES
from protocol.sections import Budget
from protocol.study import Study, StudyError
from strategies.aggregation import AGGREGATION, Aggregator
from strategies.budget import BUDGET, BudgetPolicy
from strategies.build import Imports, build
from strategies.consensus import CONSENSUS, Consensus
from strategies.pool import Needs
from strategies.private import check_choices
from strategies.query import QUERY, CostWeighted, QueryStrategy, Scored
from strategies.stopping import STOPPING, Stopping

T = TypeVar("T")

UNTRAINED = frozenset(
    {
        "features",
        "looks",
        "labeled_features",
        "labeled_targets",
        "cluster_centres",
        "cluster_turns",
    }
)
"""Signals that mean something before the first training: images, their distances, labels."""


@dataclass(frozen=True, slots=True)
class Decisions:
    """Everything in a study that decides.

    Attributes:
        query: of every cycle but the first, weighted by cost where the study says so.
        cold_start: of the first cycle, before any label.
        policy: shares each cycle's budget.
        aggregator: makes the next global model.
        consensus: settles the readings of a case.
        stopping: advises to stop.
    """

    query: QueryStrategy
    cold_start: QueryStrategy
    policy: BudgetPolicy
    aggregator: Aggregator
    consensus: Consensus
    stopping: Stopping


def decisions(study: Study, allow_import: Imports = False) -> Decisions:
    """The study's decisions, ready to be asked.

    Args:
        study: a valid study.
        allow_import: whether it may name strategies outside the project, such as
            "my_lab.ideas:Novelty", whose code then runs: everything only in a simulation on one's
            own machine, at a site the packages that its admin listed.

    Raises:
        StudyError: a name, an argument or a combination that is refused; one sentence that begins
            with the study's key.
    """

    def chosen(
        key: str, table: Mapping[str, Callable[..., T]], name: str, arguments: Mapping[str, object]
    ) -> T:
        if name not in table and ":" not in name:
            raise StudyError(f"{key} = {name!r}: accepted is one of {', '.join(sorted(table))}")
        try:
            return build(table, name, allow_import=allow_import, **arguments)
        except ValueError as error:
            raise StudyError(f"{key} = {name!r}: {error}") from None

    check_choices(study)
    query, budget, reading = study.query, study.budget, study.reading
    kind = _with(
        "reading.arguments", reading.arguments, "multi_label", study.task.multi_label, "task.kind"
    )
    strategy = chosen("query.strategy", QUERY, query.strategy, query.arguments)
    cold_start = chosen("query.cold_start", QUERY, query.cold_start, query.cold_start_arguments)
    _check_needs("query.strategy", query.strategy, strategy)
    _check_needs("query.cold_start", query.cold_start, cold_start)
    _check_dropout(study, "query.strategy", query.strategy, strategy)
    _check_cold_start(query.cold_start, cold_start)
    aggregator = chosen(
        "aggregation.name", AGGREGATION, study.aggregation.name, study.aggregation.arguments
    )
    _check_secure(study, aggregator)
    policy = chosen("budget.policy", BUDGET, budget.policy, _of_budget(budget))
    _check_policy(study, policy)
    return Decisions(
        query=_weighted(study, strategy),
        cold_start=cold_start,
        policy=policy,
        aggregator=aggregator,
        consensus=chosen("reading.consensus", CONSENSUS, reading.consensus, kind),
        stopping=chosen("stopping.rule", STOPPING, study.stopping.rule, study.stopping.arguments),
    )


def check_sites(study: Study, chosen: Decisions, sites: int) -> None:
    """Refuse a study that so many sites cannot run.

    Raises:
        StudyError: a cycle's budget is too small for them, or a quorum of them too few to average.
    """
    study.check_sites(sites)
    least, quorum = chosen.aggregator.least_sites, study.aggregation.quorum
    if study.aggregation.secure and sites < LEAST_SITES:
        raise StudyError(
            f"aggregation.secure = true: a sum over {sites} sites tells each of them the other's "
            f"update; accepted are {LEAST_SITES} sites or more"
        )
    if (answering := math.ceil(quorum * sites - 1e-9)) < least:
        raise StudyError(
            f"aggregation.name = {study.aggregation.name!r}: it compares {least} sites or more, "
            f"and a quorum of {sites} sites is {answering}; accepted are more sites, "
            "a higher aggregation.quorum, or fedavg"
        )


def check_named(policy: BudgetPolicy, names: Collection[str]) -> None:
    """Refuse a policy that has something of its own for a site that does not take part.

    Raises:
        StudyError: naming the site, and those that do.
    """
    if strange := sorted(set(getattr(policy, "named", ())) - set(names)):
        raise StudyError(
            f"budget.arguments names site {strange[0]!r}; accepted are {', '.join(sorted(names))}"
        )


def _of_budget(budget: Budget) -> dict[str, object]:
    """The policy's arguments, and what it takes of the rest of the table."""
    given = _with("budget.arguments", budget.arguments, "floor", budget.floor, "budget.floor")
    if "seconds" in getattr(BUDGET.get(budget.policy), "__dataclass_fields__", ()):
        given = _with("budget.arguments", given, "seconds", budget.seconds, "budget.seconds")
    return given


def _with(
    table: str, arguments: Mapping[str, object], name: str, value: object, source: str
) -> dict[str, object]:
    """The arguments and one that comes from elsewhere in the study file, and only from there."""
    if name in arguments:
        raise StudyError(f"{table}.{name} = {arguments[name]!r}: accepted is {source} instead")
    return {**arguments, name: value}


def _weighted(study: Study, strategy: QueryStrategy) -> QueryStrategy:
    """The strategy, its score multiplied by the expected cost where the study says so."""
    if not study.query.cost_weighted:
        return strategy
    if not hasattr(strategy, "scores"):
        raise StudyError(
            f"query.cost_weighted = True: query.strategy = {study.query.strategy!r} ranks by no "
            f"score, accepted is one of {', '.join(_scored_names())}"
        )
    return CostWeighted(cast("Scored", strategy), study.task.costs)


def _scored_names() -> list[str]:
    """The strategies of the table that score every case."""
    return sorted(name for name, row in QUERY.items() if hasattr(row, "scores"))


def _check_secure(study: Study, aggregator: Aggregator) -> None:
    """Refuse to hide the updates from an aggregator that compares them."""
    if study.aggregation.secure and not aggregator.streaming:
        summing = sorted(name for name, row in AGGREGATION.items() if row().streaming)
        raise StudyError(
            f"aggregation.secure = true: aggregation.name = {study.aggregation.name!r} compares "
            "the sites' own updates, which a sum hides; accepted with it is one of "
            f"{', '.join(summing)}"
        )


def _check_policy(study: Study, policy: BudgetPolicy) -> None:
    """Refuse a policy that reads what the study never gathers, or counts by another unit.

    The first would share equally for ever, the second by numbers that mean something else: a
    policy `by_readings` by readings, one `by_cases` by readings of which each is another case's.
    """
    key = f"budget.policy = {study.budget.policy!r}"
    if getattr(policy, "by_clusters", False) and study.query.strategy != NAME:
        raise StudyError(
            f"{key}: it reads clusters that the sites tell of for query.strategy = {NAME!r} alone, "
            "accepted is that strategy, or another policy"
        )
    if getattr(policy, "by_exploration", False) and study.budget.exploration == 0:
        raise StudyError(
            f"{key}: it goes by losses on cases that are drawn at random, accepted with it is "
            "budget.exploration above 0"
        )
    by_cases = getattr(policy, "by_cases", False)
    if (by_cases or getattr(policy, "by_readings", False)) and study.budget.unit != "readings":
        raise StudyError(
            f"{key}: a unit of its budget is one reading, accepted with it is budget.unit = "
            "'readings'"
        )
    if by_cases and (taken := study.reading.readings_per_case) > 1:
        raise StudyError(
            f"{key}: a unit of its budget reads one case, and here a case takes {taken:g} "
            "readings; accepted with it are reading.readers_per_case = 1, "
            "reading.second_share = 0 and reading.repeats = 0"
        )


def _check_needs(key: str, name: str, strategy: QueryStrategy) -> None:
    """Refuse a strategy of somebody's own that asks for signals in other words than `Needs`."""
    if not isinstance(strategy.needs, Needs):
        raise StudyError(
            f"{key} = {name!r}: its needs are {type(strategy.needs).__name__}, accepted is "
            'strategies.pool.Needs, such as Needs(frozenset({"features"}))'
        )


def _check_dropout(study: Study, key: str, name: str, strategy: QueryStrategy) -> None:
    """Refuse a strategy that asks a dropout ensemble of a network without dropout."""
    dropout = float(getattr(study.network, "dropout", 0.0))
    if "mc_probs" in strategy.needs.signals and dropout == 0:
        raise StudyError(
            f"{key} = {name!r}: it compares predictions under dropout, accepted is a network with "
            f"network.dropout above 0, and here '{study.network.name}' has none"
        )


def _check_cold_start(name: str, strategy: QueryStrategy) -> None:
    """Refuse a first strategy that asks an untrained model what it believes."""
    if wrong := sorted(strategy.needs.signals - UNTRAINED):
        raise StudyError(
            f"query.cold_start = {name!r}: it reads {', '.join(wrong)} of a model that has seen no "
            f"label, accepted is a strategy without them, such as {' or '.join(cold_names())}"
        )


def cold_names() -> list[str]:
    """The strategies of the table that need no trained model."""
    return sorted(name for name, row in QUERY.items() if not row().needs.signals - UNTRAINED)
