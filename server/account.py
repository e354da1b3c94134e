"""What a ledger's cycles granted, spent and returned, top-ups and later settlements included.

Read by the course of a study, and by whoever shows one: every function takes a ledger, also one
that was opened to be read only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from protocol.clusters import SiteClusters
from protocol.gain import SiteGain
from protocol.records import Grant, SiteEvaluation, SiteProgress, SiteReport, UpdateNumbers
from protocol.steps import Selected
from server.ledger import Ledger, Stage

KINDS: Mapping[str, type] = {
    "report": SiteReport,
    "allocate": Grant,
    "select": Selected,
    "deadline": SiteProgress,
    "close": SiteProgress,
    "read": SiteProgress,
    "settle": SiteProgress,
    "train": UpdateNumbers,
    "evaluate": SiteEvaluation,
    "cluster": SiteClusters,
    "compare": SiteGain,
}
"""What a committed step keeps of each site. "deadline" holds those who were not done by then."""

TOP_UP = 1
"""Sequence number of the grants that share what slow sites returned."""


def cycles(ledger: Ledger) -> int:
    """How many cycles have begun: their reports are in the ledger."""
    return sum(c.stage.step == "report" for c in ledger.committed())


def grants(ledger: Ledger, cycle: int) -> dict[str, list[Grant]]:
    """A cycle's grants by site, the top-up after the first, each with its reason."""
    found: dict[str, list[Grant]] = {}
    for sequence in (0, TOP_UP):
        for site, grant in (
            ledger.records(Stage(cycle, "allocate", 0, sequence), Grant) or {}
        ).items():
            found.setdefault(site, []).append(grant)
    return found


def together(parts: Mapping[str, list[Grant]]) -> dict[str, Grant]:
    """One grant per site: the counts added up, the reasons one after another."""
    return {
        site: replace(
            each[0], count=sum(g.count for g in each), reason="; ".join(g.reason for g in each)
        )
        for site, each in parts.items()
    }


def progress(ledger: Ledger, cycle: int, through: int | None = None) -> dict[str, SiteProgress]:
    """What became of a cycle's grants, as known at the beginning of a later cycle, or now.

    A site with `waiting` above 0 was away when the cycle closed: all that it had was counted as
    spent. Once it has been heard its true numbers are here, and spent + returned = granted still.
    Empty while people read.
    """
    known = ledger.records(Stage(cycle, "read"), SiteProgress) or {}
    for committed in ledger.committed():
        stage = committed.stage
        later = through is None or stage.sequence <= through
        if (stage.cycle, stage.step) == (cycle, "settle") and later:
            known |= ledger.records(stage, SiteProgress) or {}
    return known


def held(told: Mapping[str, SiteProgress]) -> list[str]:
    """The sites whose grant is counted as spent until they are heard again."""
    return [site for site, p in told.items() if p.waiting]


def accounted(
    grant: Grant,
    told: SiteProgress | None,
    seen: SiteProgress | None,
    site: str,
    *,
    gone: bool = False,
) -> SiteProgress:
    """What became of a grant, so that granted = spent + returned.

    A database that was restored from an old copy tells less than was seen of it before, and what
    was spent stays spent. A site that fell silent may have spent all: the study's total must not
    be exceeded when it comes back.

    Args:
        grant: all that the site had in the cycle.
        told: its answer when the cycle was closed; None if it gave none.
        seen: the most that was seen of it while people read; None if nothing was.
        gone: it has withdrawn the study for good: what was seen of it is what it spent, since its
            readers can spend no more.
    """
    best = most(told, seen) or SiteProgress(site, 0, 0, 0, 0.0)
    if told is None and not gone and best.spent < grant.count:
        return replace(best, spent=grant.count, returned=0, waiting=grant.count - best.spent)
    return replace(best, returned=grant.count - best.spent, waiting=0)


def most(one: SiteProgress | None, two: SiteProgress | None) -> SiteProgress | None:
    """The newer of two, with the larger of their counts."""
    if one is None or two is None:
        return one or two
    return replace(
        one,
        spent=max(one.spent, two.spent),
        readings=max(one.readings, two.readings),
        minutes=max(one.minutes, two.minutes),
    )
