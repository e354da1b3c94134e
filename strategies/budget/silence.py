"""Sites that read nothing of their last grant: whatever the policy, they get the floor alone."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from protocol.records import CycleRecord, Grant, SiteReport
from strategies.budget.policy import BudgetPolicy

_NOBODY: frozenset[str] = frozenset()


def silent(past: Sequence[CycleRecord]) -> dict[str, int]:
    """The sites that gave their last grant back unread, by name, and how large it was.

    A site that was away when its cycle closed is not among them until it has been heard, and one
    that was granted nothing was not asked.

    Args:
        past: the finished cycles, oldest first.
    """
    found: dict[str, int] = {}
    for record in past:
        for site, told in record.progress.items():
            grant = record.grants.get(site)
            if grant is None or grant.count == 0:
                continue
            found.pop(site, None)
            if told.readings == 0 and not told.waiting:
                found[site] = grant.count
    return found


def allocated(
    policy: BudgetPolicy,
    reports: Sequence[SiteReport],
    past: Sequence[CycleRecord],
    budget: int,
    rng: np.random.Generator,
    *,
    floor: int,
    read: Collection[str] = _NOBODY,
) -> dict[str, Grant]:
    """The policy's grants, a silent site's at most the floor: it is asked, and can come back.

    The policy is told of a capacity no larger than that, and shares what is left as it always does.
    Where the floor is 0 a silent site is asked for one unit.

    Args:
        policy: whose rule it is.
        reports, past, budget, rng: as `BudgetPolicy` takes them.
        floor: the study's.
        read: sites that have read since the last of `past`.
    """
    quiet = {site: n for site, n in silent(past).items() if site not in read}
    most = max(floor, 1)
    asked = [replace(r, capacity=min(r.capacity, most)) if r.site in quiet else r for r in reports]
    shared = policy.allocate(asked, past, budget, rng)
    capacity = {r.site: r.capacity for r in reports}
    return {
        site: replace(g, reason=_words(g.count, budget, quiet[site], most))
        if site in quiet and capacity[site] > most
        else g
        for site, g in shared.items()
    }


def _words(count: int, budget: int, before: int, most: int) -> str:
    return (
        f"{count} of {budget}: it read nothing of the {before} that it was granted last, so it is "
        f"asked for {most} at most until it reads again"
    )
