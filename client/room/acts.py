"""What people do in the room, each asked of the site in the store's own thread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from client.room import telling
from client.room.desk import Desk
from client.room.doors import Forbidden
from client.room.forms import Answered, BadRequest, Form, Which
from client.site import Site
from client.store.reader_shelf import Account


@dataclass(frozen=True, slots=True)
class Place:
    """A case's image by its place in a cycle's order.

    Attributes:
        slice: None for the middle one.
    """

    study: str
    cycle: int
    position: int
    slice: int | None

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Place:
        """The place that a query names.

        Raises:
            BadRequest: it does not fit.
        """
        known = {"study", "cycle", "position", "slice"}
        numbers = [query.get(name, "") for name in ("cycle", "position", "slice")]
        whole = [n.isascii() and n.isdigit() and len(n) < 10 for n in numbers]
        if not set(query) <= known or not all(whole[:2]) or not (whole[2] or not numbers[2]):
            raise BadRequest("accepted are study, cycle and position, and a slice or none")
        chosen = int(numbers[2]) if numbers[2] else None
        return cls(query.get("study", ""), int(numbers[0]), int(numbers[1]), chosen)


def me(site: Site, who: Account, form: Form | None) -> dict[str, Any]:
    """Who is signed in, and the studies."""
    return telling.person(site, who)


def overview(site: Site, who: Account, form: Form | None) -> dict[str, Any]:
    """How far the room is."""
    return telling.overview(site)


QUESTIONS = (me, overview)
"""They change nothing, and are asked by GET."""


def following(site: Site, who: Account, form: Which) -> dict[str, Any]:
    """The case to read now."""
    study, desk = site.store.steps.study(form.study), Desk(site.store)
    return telling.offer(desk, study, who, desk.next(study, who))


def answer(site: Site, who: Account, form: Answered) -> dict[str, Any]:
    """Keep an answer; what comes next."""
    study, desk = site.store.steps.study(form.study), Desk(site.store)
    desk.answer(study, who, form.given)
    told = telling.offer(desk, study, who, desk.next(study, who))
    return {**told, "saved": form.submission}


def undo(site: Site, who: Account, form: Which) -> dict[str, Any]:
    """Take the last answer back; its case comes again."""
    study, desk = site.store.steps.study(form.study), Desk(site.store)
    position = desk.undo(study, who)
    return {**telling.offer(desk, study, who, desk.next(study, who)), "undone": position}


def renew(site: Site, who: Account, form: Form) -> dict[str, Any]:
    """Keep the case on the screen."""
    return {"format": 1, "held": Desk(site.store).renew(who)}


def leave(site: Site, who: Account, form: Form) -> dict[str, Any]:
    """Give the case back."""
    Desk(site.store).leave(who)
    return {"format": 1}


def pixels(site: Site, who: Account, place: Place) -> int:
    """The source's row of a case.

    Raises:
        Forbidden: the case is neither this reader's nor likely to be next.
    """
    study, desk = site.store.steps.study(place.study), Desk(site.store)
    opening = desk.may_see(study, who, place.cycle, place.position)
    if opening is None:
        raise Forbidden("the case is not yours to see just now")
    return int(site.store.cases.rows(np.array([opening.case]))[0])
