"""Sites that read nothing of their last grant: whatever the policy, they get the floor at most."""

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
    Where the floor is 0 a silent site is asked for one unit. Where the budget is too little to ask
    every site for so many, the others come first and silent sites share what those cannot use:
    a cycle in which only silent sites were asked would end the study with budget left.

    Args:
        policy: whose rule it is.
        reports, past, budget, rng: as `BudgetPolicy` takes them.
        floor: the study's.
        read: sites that have read since the last of `past`.
    """
    quiet = {site: n for site, n in silent(past).items() if site not in read}
    most = max(floor, 1)
    held = {r.site: min(r.capacity, most) for r in reports}
    awake = any(n for site, n in held.items() if site not in quiet)
    last = awake and sum(held.values()) > budget  # whether silent sites come after the others
    cap = 0 if last else most
    asked = [replace(r, capacity=min(r.capacity, cap)) if r.site in quiet else r for r in reports]
    shared = dict(policy.allocate(asked, past, budget, rng))
    rest = [replace(r, capacity=held[r.site]) for r in reports if r.site in quiet] if last else []
    left = budget - sum(g.count for g in shared.values())
    if rest and left:
        shared |= policy.allocate(rest, past, left, rng)
    capacity = {r.site: r.capacity for r in reports}
    return {
        site: replace(g, reason=_words(g.count, budget, quiet[site], most, last=last))
        if site in quiet and capacity[site] > cap
        else g
        for site, g in shared.items()
    }


def _words(count: int, budget: int, before: int, most: int, *, last: bool) -> str:
    told = f"{count} of {budget}: it read nothing of the {before} that it was granted last"
    if last:
        return (
            f"{told}, and {budget} is too little to ask every site for {most}, so it is asked for "
            "what the others cannot use"
        )
    return f"{told}, so it is asked for {most} at most until it reads again"
