"""What past cycles have measured: prequential losses along each site's labels, and rewards.

Nothing here comes from audit labels, and no record of a policy holds any. A report's prequential
loss is that of the exploration cases opened in the cycle before, under the model that opened them;
that model was trained on the labels that the report of that cycle counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from protocol.records import CycleRecord, SiteReport


@dataclass(frozen=True, slots=True)
class Point:
    """One model as one site has measured it.

    Attributes:
        cycle: the cycle that the model opened cases in.
        labels: the site's training labels behind the model.
        loss: mean log-loss of the exploration cases, at least 0.
        count: how many cases that mean is over, at least 1.
    """

    cycle: int
    labels: int
    loss: float
    count: int


@dataclass(frozen=True, slots=True)
class Reward:
    """The drop of a site's prequential loss over one cycle, per minute of its readers.

    Attributes:
        cycle: the cycle whose readings were paid.
        per_minute: log-loss per minute; negative where the loss has risen.
    """

    cycle: int
    per_minute: float


def points(reports: Sequence[SiteReport], past: Sequence[CycleRecord]) -> dict[str, list[Point]]:
    """The measured models of every reporting site, oldest first.

    The model that had seen no label of any site is left out, and so is one of which a site has no
    exploration label.

    Args:
        reports: of this cycle, one per site.
        past: the finished cycles, oldest first.
    Raises:
        ValueError: a loss, a count of labels or a time that is not finite or is negative.
    """
    now = past[-1].cycle + 1 if past else 0
    told = [(c.cycle, c.reports) for c in past] + [(now, {r.site: r for r in reports})]
    found: dict[str, list[Point]] = {r.site: [] for r in reports}
    for (cycle, before), (next_, after) in pairwise(told):
        if next_ != cycle + 1 or not any(r.labeled for r in before.values()):
            continue
        for site in found.keys() & before.keys() & after.keys():
            checked(after[site])
            if n := after[site].prequential_count:
                loss = after[site].prequential_loss
                found[site].append(Point(cycle, before[site].labeled, loss, n))
    return found


def rewards(reports: Sequence[SiteReport], past: Sequence[CycleRecord]) -> dict[str, list[Reward]]:
    """The rewards of every reporting site, oldest first.

    A cycle has one where both the model before it and the model after it were measured, and where
    its readers spent time. The last cycle has none yet: the model after it opens its first cases
    in the cycle that is being shared now.

    Raises:
        ValueError: as for `points`; minutes that are not finite or are negative.
    """
    minutes = {c.cycle: {s: p.minutes for s, p in c.progress.items()} for c in past}
    found: dict[str, list[Reward]] = {}
    for site, measured in points(reports, past).items():
        found[site] = []
        for one, next_ in pairwise(measured):
            spent = minutes[one.cycle].get(site, 0.0)
            if not (math.isfinite(spent) and spent >= 0):
                raise ValueError(f"site '{site}' spent {spent} minutes: accepted is 0 or more")
            if spent and next_.cycle == one.cycle + 1:
                found[site].append(Reward(one.cycle, (one.loss - next_.loss) / spent))
    return found


def minutes_per_reading(reports: Sequence[SiteReport], seconds: float = 60.0) -> list[float]:
    """(sites,) minutes of one reading, above 0; the mean of the others where a site has read none.

    Before the first reading those `seconds` everywhere.
    """
    known = [r.seconds_per_reading / 60 for r in map(checked, reports) if r.seconds_per_reading]
    usual = math.fsum(known) / len(known) if known else seconds / 60
    return [r.seconds_per_reading / 60 or usual for r in reports]


def checked(report: SiteReport) -> SiteReport:
    """The report, its measurements in range.

    Raises:
        ValueError: a measurement is not finite or is negative.
    """
    measured: Mapping[str, float] = {
        "seconds per reading": report.seconds_per_reading,
        "a prequential loss": report.prequential_loss,
        "prequential labels": report.prequential_count,
        "training labels": report.labeled,
    }
    for word, value in measured.items():
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(
                f"site '{report.site}' reports {value} as {word}: accepted is a finite number of "
                "at least 0"
            )
    return report
