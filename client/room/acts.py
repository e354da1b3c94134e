"""What people do in the room, each asked of the site in the store's own thread."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from client.queue import ReadingRefused
from client.room import practising, telling
from client.room.desk import Desk
from client.room.doors import Forbidden
from client.room.forms import Answered, BadRequest, Drafted, Form, Left, Looked, Which
from client.room.lending import keep_draft
from client.room.names import Names
from client.room.second import SecondLook, as_told
from client.site import Site
from client.store.reader_shelf import Account

NOTHING = Form()
"""What comes with a question."""


@dataclass(frozen=True, slots=True)
class Place:
    """A case's image by its place in a cycle's order.

    Attributes:
        slice: None for the middle one.
        practice: the position is that of a practice case.
    """

    study: str
    cycle: int
    position: int
    slice: int | None
    practice: bool = False

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Place:
        """The place that a query names.

        Raises:
            BadRequest: it does not fit.
        """
        known = {"study", "cycle", "position", "slice", "practice"}
        numbers = [query.get(name, "") for name in ("cycle", "position", "slice")]
        whole = [n.isascii() and n.isdigit() and len(n) < 17 for n in numbers]
        practice = query.get("practice", "")
        if (
            not set(query) <= known
            or practice not in ("", "1")
            or not all(whole[:2])
            or not (whole[2] or not numbers[2])
        ):
            raise BadRequest("accepted are study, cycle and position, and a slice or none")
        chosen = int(numbers[2]) if numbers[2] else None
        where = query.get("study", ""), int(numbers[0]), int(numbers[1])
        return cls(*where, chosen, bool(practice))


def me(site: Site, who: Account, form: Form = NOTHING) -> dict[str, Any]:
    """Who is signed in, and the studies."""
    return telling.person(site, who)


def overview(site: Site, who: Account, form: Form) -> dict[str, Any]:
    """How far the room is."""
    return telling.overview(site)


def following(site: Site, who: Account, form: Which) -> dict[str, Any]:
    """The case to read now."""
    study, desk = site.store.steps.study(form.study), Desk(site.store)
    practice = practising.waiting(site.store, study, who)
    if practice is not None:
        return {**telling.nothing(desk, study, who), "practice": practice}
    return telling.offer(desk, study, who, desk.next(study, who))


def answer(site: Site, who: Account, form: Answered) -> dict[str, Any]:
    """Keep an answer; what comes next."""
    study, desk = site.store.steps.study(form.study), Desk(site.store)
    lease = site.store.leases.of(who.name)
    begun = lease is not None and lease.study == study.identity
    if not begun and practising.waiting(site.store, study, who) is not None:
        raise ReadingRefused("practice comes before the first case that counts")
    desk.answer(study, who, form.given)
    told = telling.offer(desk, study, who, desk.next(study, who))
    return {**told, "saved": form.submission}


def undo(site: Site, who: Account, form: Which) -> dict[str, Any]:
    """Take the last answer back; its case comes again."""
    study, desk = site.store.steps.study(form.study), Desk(site.store)
    position = desk.undo(study, who)
    return {**telling.offer(desk, study, who, desk.next(study, who)), "undone": position}


def opinion(site: Site, who: Account, form: Looked) -> dict[str, Any]:
    """What the model says of a case that this reader has answered; written down as shown."""
    study = site.store.steps.study(form.study)
    seen = SecondLook(site.store).opinion(study, who, form.cycle, form.position)
    return as_told(study, form.cycle, seen)


def second_look(site: Site, who: Account, form: Answered) -> dict[str, Any]:
    """Keep a changed mind beside the first answer."""
    study = site.store.steps.study(form.study)
    SecondLook(site.store).change(study, who, form.given)
    return {"format": 1, "saved": form.submission}


def renew(site: Site, who: Account, form: Form) -> dict[str, Any]:
    """Keep the case on the screen."""
    return {"format": 1, "held": Desk(site.store).renew(who)}


def draft(site: Site, who: Account, form: Drafted) -> dict[str, Any]:
    """Keep what is chosen so far; it is no answer."""
    study = site.store.steps.study(form.study)
    names = Names(site.store, study, form.cycle, who.name)
    return {"format": 1, "kept": keep_draft(names, form.position, form.draft, time.time())}


def leave(site: Site, who: Account, form: Left) -> dict[str, Any]:
    """Give the case back; what was chosen waits until this reader has it again."""
    kept = form.draft is not None and draft(site, who, form.draft)["kept"]
    Desk(site.store).leave(who)
    return {"format": 1, "kept": kept}


def pixels(site: Site, who: Account, place: Place) -> tuple[int, int]:
    """A case's id, and the source's row of it.

    Raises:
        Forbidden: the case is neither this reader's nor likely to be next.
    """
    study, desk = site.store.steps.study(place.study), Desk(site.store)
    look = study, who, place.cycle, place.position
    if place.practice:
        case = practising.case(site.store, study, who, place.position)
    else:
        opening = desk.may_see(*look)
        case = opening.case if opening else SecondLook(site.store).may_see(*look)
    if case is None:
        raise Forbidden("the case is not yours to see just now")
    return case, int(site.store.cases.rows(np.array([case]))[0])
