"""What a step function returns: the reply, and what to write together with its memo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from client.site import Site
from protocol.records import Arrays
from protocol.steps import Reply
from protocol.study import Study
from strategies.chosen import Decisions, decisions
from strategies.query.strategy import QueryStrategy

if TYPE_CHECKING:
    from client.learning.resident import Resident


def _nothing() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished step.

    Attributes:
        reply: what leaves.
        write: run inside the transaction that records the reply, so that both stand or neither.
    """

    reply: Reply
    write: Callable[[], Any] = _nothing


def decided(site: Site, study: Study) -> Decisions:
    """The study's strategies, built once per study and kept for the life of the process."""
    return _decisions(study.identity, _Box(study), site.allow_import)


def strategy_of(site: Site, study: Study, cycle: int) -> QueryStrategy:
    """The query strategy in force: the cold start in the first cycle, then the study's own.

    One that looks at models of the site's own making needs labels; a site without asks the cold
    start further on.
    """
    chosen = decided(site, study)
    if cycle == 0:
        return chosen.cold_start
    if chosen.query.needs.models <= {"global"}:
        return chosen.query
    ids, _ = site.store.labels.settled(study.identity)
    return chosen.query if len(ids) else chosen.cold_start


def resident(study: Study, arrays: Arrays) -> Resident:
    """The study's network with these parameters loaded; one per process, shared by its sites."""
    network = network_of(study)
    network.load(arrays)
    return network


def network_of(study: Study) -> Resident:
    """The study's network, with whatever was loaded last."""
    return _resident(study.identity, _Box(study))


@dataclass(frozen=True, slots=True, eq=False)
class _Box:
    """Carries a study past a cache that is keyed by its identity alone."""

    study: Study

    def __hash__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Box)


@lru_cache(maxsize=4)
def _decisions(identity: str, box: _Box, allow_import: bool | tuple[str, ...]) -> Decisions:
    return decisions(box.study, allow_import)


@lru_cache(maxsize=1)
def _resident(identity: str, box: _Box) -> Resident:
    from client.learning.resident import Resident  # brings torch

    task = box.study.task
    return Resident(box.study.network, task.image, len(task.classes))
