"""Class deficit: more where the classes that lack labels are predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from protocol.records import CycleRecord, Grant, SiteReport
from strategies.budget.policy import Claim, check_floor, grants, ordered


@dataclass(frozen=True, slots=True)
class ClassDeficit:
    """In proportion to the sum over classes of label deficit times predicted cases.

    The deficit of class c is max(0, 1 / classes - its share of all sites' training labels). Equal
    shares before the first label, and where no class lacks labels.

    Attributes:
        floor: least grant of a site that can use it.
    """

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
        """Grants by predicted cases of lacking classes; see `BudgetPolicy`."""
        reports = ordered(reports)
        _check(reports)
        labels = [sum(column) for column in zip(*(r.labels for r in reports), strict=True)]
        total = sum(labels)
        if total == 0:
            words = f"equal shares for {len(reports)} sites before the first label"
            return grants(reports, [Claim(1.0, words)] * len(reports), self.floor, budget, rng)
        # deficits in whole numbers, times classes * labels, so that equal classes lack nothing
        lack = [max(0, total - len(labels) * n) for n in labels]
        lacking = ", ".join(str(c) for c, d in enumerate(lack) if d) or "none"
        claims = []
        for r in reports:
            weight = sum(d * n for d, n in zip(lack, r.predicted, strict=True))
            cases = sum(n for d, n in zip(lack, r.predicted, strict=True) if d)
            words = (
                f"{cases} cases are predicted as classes short of labels ({lacking}), "
                f"deficit times cases {weight / (total * len(labels)):.1f}"
            )
            claims.append(Claim(float(weight), words))
        return grants(reports, claims, self.floor, budget, rng)


def _check(reports: Sequence[SiteReport]) -> None:
    """Refuse counts by class that are negative or of other classes than the first site's."""
    for r in reports:
        classes = len(reports[0].labels)
        if len(r.labels) != classes or len(r.predicted) != classes:
            raise ValueError(
                f"site '{r.site}' reports {len(r.labels)} classes of labels and {len(r.predicted)} "
                f"of predictions: accepted are {classes} of each"
            )
        if min((*r.labels, *r.predicted), default=0) < 0:
            raise ValueError(
                f"site '{r.site}' reports {min(*r.labels, *r.predicted)} cases of a class: "
                "accepted is 0 or more"
            )
