"""How a cycle's budget, or what is left of it, is shared: the same when it is recomputed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from protocol.clusters import TELL, SiteClusters
from protocol.records import CycleRecord, Grant, SiteReport
from protocol.seeds import Purpose, generator
from protocol.study import Study
from server.ledger import Ledger, Stage
from server.merging import merged
from strategies.budget import BudgetPolicy
from strategies.budget.coverage_deficit import clustered
from strategies.budget.silence import allocated


@dataclass(frozen=True, slots=True)
class Sharing:
    """One study's budget under one policy.

    Attributes:
        study: whose seed and floor count.
        policy: its own, or another one in a replay.
        ledger: what the sites have told of their clusters, where the policy reads that.
    """

    study: Study
    policy: BudgetPolicy
    ledger: Ledger

    def of_cycle(
        self, cycle: int, told: Mapping[str, SiteReport], past: Sequence[CycleRecord]
    ) -> dict[str, Grant]:
        """The cycle's grants.

        Args:
            cycle: from 0.
            told: the reports of it.
            past: the cycles before.
        """
        spent = sum(p.spent for record in past for p in record.progress.values())
        return self.of(cycle, 0, list(told.values()), past, self.study.cycle_budget(cycle, spent))

    def of(
        self,
        cycle: int,
        sequence: int,
        told: Sequence[SiteReport],
        past: Sequence[CycleRecord],
        budget: int,
        read: Collection[str] = (),
    ) -> dict[str, Grant]:
        """Grants of any budget within a cycle.

        Args:
            cycle: from 0.
            sequence: from 0; a top-up draws otherwise than the cycle's first grants.
            told: the reports of the sites that share it.
            past: the cycles before.
            budget: in the study's unit.
            read: sites that have read in this cycle.
        """
        rng = generator(self.study.seed, -1, cycle, sequence, Purpose.ALLOCATE)
        floor = self.study.budget.floor
        if getattr(self.policy, "by_clusters", False):
            told = self._clustered(cycle, told)
        return allocated(self.policy, told, past, budget, rng, floor=floor, read=read)

    def _clustered(self, cycle: int, told: Sequence[SiteReport]) -> Sequence[SiteReport]:
        """The reports with the clusters that the cycle's cases are chosen by, where it has any."""
        heard = self.ledger.records(Stage(cycle, "cluster", TELL), SiteClusters) or {}
        sites = self.ledger.sites()
        found = merged(self.study, cycle, sites, heard)
        if found is None:
            return told
        pools = dict(zip(sites, (found.cases - found.labels).tolist(), strict=True))
        labels = found.labels.sum(axis=0).tolist()
        return [clustered(r, pools[r.site], labels) for r in told]
