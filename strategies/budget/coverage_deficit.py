"""Coverage deficit: more where the unlabeled cases of clusters that lack labels are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np

from protocol.records import CycleRecord, Grant, SiteReport
from strategies.budget.policy import Claim, check_floor, grants, ordered


@dataclass(frozen=True, slots=True)
class Clustered(SiteReport):
    """A report, and what the site told in the same cycle of the federation's clusters.

    It is put together at the server and travels nowhere.

    Attributes:
        cluster_pool: (clusters,) its cases without a label in each.
        cluster_labels: (clusters,) cases with a label in each, of all sites, sharing or not.
    """

    cluster_pool: tuple[int, ...] = ()
    cluster_labels: tuple[int, ...] = ()


def clustered(report: SiteReport, pool: Sequence[int], labels: Sequence[int]) -> Clustered:
    """The report with its site's part in the clusters."""
    known = {f.name: getattr(report, f.name) for f in fields(SiteReport)}
    return Clustered(**known, cluster_pool=tuple(pool), cluster_labels=tuple(labels))


@dataclass(frozen=True, slots=True)
class CoverageDeficit:
    """In proportion to the site's part in what the clusters of all sites lack in labels.

    With L_c labels in cluster c of C, and L in all, the cluster lacks max(0, 1 / C - L_c / L), all
    the same before the first label. What it lacks is divided between the sites by their unlabeled
    cases in it. The clusters are those of `federated-typiclust`, told anew in each cycle and of
    no fewer cases than its `least`. A site that told of none counts as the mean site. Equal shares
    in a cycle without clusters (the first one, unless the cold start asks by them, too), and where
    no cluster lacks labels.

    Attributes:
        floor: least grant of a site that can use it.
    """

    by_clusters: ClassVar[bool] = True

    floor: int = 0

    def __post_init__(self) -> None:
        """Refuse arguments out of range."""
        check_floor(self.floor)

    def allocate(
        self,
        reports: Sequence[SiteReport],
        past: Sequence[CycleRecord],
        budget: int,
        rng: np.random.Generator,
    ) -> Mapping[str, Grant]:
        """Grants by the deficits of clusters; see `BudgetPolicy`."""
        reports = ordered(reports)
        told = [r for r in reports if isinstance(r, Clustered) and any(r.cluster_pool)]
        _check(told)
        lack = _lacks(told)
        if not any(lack):
            why = "no cluster lacks labels" if told else "no clusters are told in this cycle"
            words = f"equal shares for {len(reports)} sites: {why}"
            return grants(reports, [Claim(1.0, words)] * len(reports), self.floor, budget, rng)
        weights = _weights(told, lack)
        whole = math.fsum(weights.values())
        mean = whole / len(weights)
        pools = {r.site: _cases(r, lack) for r in told}
        clusters = f"{sum(1 for x in lack if x)} of {len(lack)} clusters short of labels"
        claims = []
        for r in reports:
            words = (
                f"{pools[r.site]} unlabeled cases in the {clusters}, "
                f"{weights[r.site] / whole:.0%} of what these lack"
                if r.site in weights
                else "it told of no unlabeled case in a cluster, so it counts as the mean site"
            )
            claims.append(Claim(weights.get(r.site, mean), words))
        return grants(reports, claims, self.floor, budget, rng)


def _cases(report: Clustered, lack: Sequence[int]) -> int:
    """Its unlabeled cases in clusters that lack labels."""
    return sum(n for n, x in zip(report.cluster_pool, lack, strict=True) if x)


def _lacks(told: Sequence[Clustered]) -> list[int]:
    """(clusters,) what each lacks, times clusters * labels; 0 where no unlabeled case is left."""
    if not told:
        return []
    labels = told[0].cluster_labels
    total = sum(labels)
    lack = [max(0, total - len(labels) * n) if total else 1 for n in labels]
    return [x if n else 0 for x, n in zip(lack, _pool(told), strict=True)]


def _pool(told: Sequence[Clustered]) -> list[int]:
    """(clusters,) unlabeled cases of all these sites."""
    return [sum(column) for column in zip(*(r.cluster_pool for r in told), strict=True)]


def _weights(told: Sequence[Clustered], lack: Sequence[int]) -> dict[str, float]:
    """By site, the sum over clusters of what one lacks times the site's part of its pool."""
    rows = list(zip(lack, _pool(told), strict=True))
    return {
        r.site: math.fsum(
            x * n / whole for (x, whole), n in zip(rows, r.cluster_pool, strict=True) if x
        )
        for r in told
    }


def _check(told: Sequence[Clustered]) -> None:
    """Refuse counts that cannot be, or of other clusters than the first site's."""
    for r in told:
        labels = told[0].cluster_labels
        if len(r.cluster_pool) != len(labels) or r.cluster_labels != labels:
            raise ValueError(
                f"site '{r.site}' has {len(r.cluster_pool)} clusters of cases and the labels "
                f"{r.cluster_labels}: accepted are those of all sites, {labels}"
            )
        if min((*r.cluster_pool, *labels)) < 0:
            raise ValueError(
                f"site '{r.site}' has {min((*r.cluster_pool, *labels))} cases in a cluster: "
                "accepted is 0 or more"
            )
