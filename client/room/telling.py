"""What the page is told: studies, the case to read, how far the room is. No opinion of a model."""

from __future__ import annotations

import random
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from typing import Any

from client.queue import current_cycle, progress
from client.room.choice import Offered
from client.room.desk import Desk
from client.room.forms import REASONS
from client.site import Site
from client.store.lease_shelf import Kept
from client.store.reader_shelf import Account
from client.store.work import worked_since
from protocol.study import Study

_ORDER = random.SystemRandom()


def studies(site: Site) -> list[dict[str, Any]]:
    """The studies that may be read for here, with what a reader must know of them."""
    found = [site.store.steps.study(identity) for identity in site.store.steps.approved()]
    return [
        {
            "identity": study.identity,
            "name": study.name,
            "multi_label": study.task.multi_label,
            "show_ai": study.reading.show_ai,
            "classes": [{"name": c.name, "definition": c.definition} for c in study.task.classes],
            "open": current_cycle(site.store, study) is not None,
        }
        for study in found
    ]


def person(site: Site, who: Account) -> dict[str, Any]:
    """Who is signed in, and to what."""
    return {
        "format": 1,
        "name": who.name,
        "role": who.role,
        "site": site.name,
        "reasons": list(REASONS),
        "studies": studies(site),
    }


def nothing(desk: Desk, study: Study, who: Account) -> dict[str, Any]:
    """What is told in any case: no case to read, and what was done today."""
    return {
        "format": 1,
        "study": study.identity,
        "case": None,
        "ahead": [],
        "work": work(desk, who),
    }


def offer(desk: Desk, study: Study, who: Account, offered: Offered | None) -> dict[str, Any]:
    """The case to read now, what may be fetched ahead, and what was done today."""
    told = nothing(desk, study, who)
    if offered is None:
        return {**told, "why": "No cycle is open: new cases come once the model was trained."}
    told["cycle"] = offered.cycle
    told["ahead"] = [turn.opening.position for turn in offered.ahead]
    turn = offered.turn
    if turn is not None:
        kept = desk.readings(study, offered.cycle, turn)
        shuffled = _ORDER.sample(kept, len(kept))
        return {
            **told,
            "case": {
                "position": turn.opening.position,
                "adjudicating": turn.adjudicating,
                "readings": [_anonymous(k) for k in shuffled],
                "draft": _drafted(desk, who, study, offered.cycle, turn.opening.case),
            },
        }
    many = offered.elsewhere
    if many:
        cases = "case is" if many == 1 else "cases are"
        return {**told, "why": f"Nothing to read just now: {many} {cases} with colleagues."}
    return {**told, "why": "Nothing to read."}


def overview(site: Site) -> dict[str, Any]:
    """How far the room is, for its admin: counts, and who has an account."""
    rows = []
    for identity in site.store.steps.approved():
        study = site.store.steps.study(identity)
        cycle = current_cycle(site.store, study)
        row: dict[str, Any] = {"name": study.name, "identity": identity, "cycle": cycle}
        if cycle is not None:
            told = progress(site.store, study, cycle, site.name)
            row |= {
                "unit": study.budget.unit,
                "granted": site.store.readings.granted(identity, cycle),
                "spent": told.spent,
                "readings": told.readings,
                "waiting": told.waiting,
            }
        rows.append(row)
    accounts = [{"name": a.name, "role": a.role} for a in site.store.readers.every()]
    return {"format": 1, "studies": rows, "accounts": accounts}


def work(desk: Desk, who: Account) -> dict[str, Any]:
    """What this reader has done, for their own eyes: it is compared with nobody's."""
    spans = {"today": _midnight(), "week": _monday()}
    told = {name: worked_since(desk.store.connection, who.name, at) for name, at in spans.items()}
    return {name: {"readings": n, "seconds": round(s)} for name, (n, s) in told.items()}


def _drafted(
    desk: Desk, who: Account, study: Study, cycle: int, case: int
) -> dict[str, Any] | None:
    """What this reader had chosen for the case before they left it."""
    found = desk.store.drafts.of(who.name, study.identity, cycle, case)
    return None if found is None else asdict(found)


def _anonymous(kept: Kept) -> dict[str, Any]:
    """A reading as an adjudicator sees it: no name, no time."""
    return {
        "answer": kept.answer,
        "value": list(kept.value),
        "confidence": kept.confidence,
        "reason": kept.reason,
        "comment": kept.comment,
    }


def _midnight(days: int = 0) -> str:
    """A midnight of the hospital's own clock, UTC, ISO 8601 as readings write it.

    Args:
        days: before the last one.
    """
    day = date.today() - timedelta(days=days)  # in days: some nights a clock is changed
    local = datetime.combine(day, datetime.min.time()).astimezone()
    return local.astimezone(UTC).isoformat(timespec="seconds")


def _monday() -> str:
    """The midnight with which this week began."""
    return _midnight(date.today().weekday())
