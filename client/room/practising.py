"""Practice on the page: a case with a banner, then what is right beside what was said."""

from __future__ import annotations

from typing import Any

from client.practice import Practice, practise
from client.room.forms import Practised
from client.site import Site
from client.store.reader_shelf import Account
from client.store.store import SiteStore, now
from protocol.records import Reading
from protocol.study import Study


def course(store: SiteStore, study: Study, who: Account) -> Practice | None:
    """A reader's practice; None for everybody else, and where a study wants none."""
    if who.role != "reader" or not study.reading.practice:
        return None
    return Practice.of(store, study, who.name)


def waiting(store: SiteStore, study: Study, who: Account) -> dict[str, Any] | None:
    """The practice case that comes before the next real one, without its answer."""
    practice = course(store, study, who)
    if practice is None or not practice.waits:
        return None
    number = len(practice.done)
    ahead = [number + 1] if practice.case(number + 1) is not None else []
    return {"position": number, "of": practice.all, "ahead": ahead}


def answer(site: Site, who: Account, form: Practised) -> dict[str, Any]:
    """Keep an answer to a practice case, and say what is right."""
    study = site.store.steps.study(form.study)
    said = Reading("", who.name, now(), 0.0, form.answer, tuple(form.value))
    told = practise(site.store, study, who.name, form.position, said)
    return {
        "format": 1,
        "position": form.position,
        "right": told.right,
        "answer": {"answer": "answered", "value": list(told.value)},
        "yours": {"answer": told.tried.answer, "value": list(told.tried.value)},
        "words": told.words,
    }


def case(store: SiteStore, study: Study, who: Account, number: int) -> int | None:
    """The id of a practice case that this reader has answered, has before them, or gets next."""
    practice = course(store, study, who)
    return None if practice is None or practice.begun else practice.case(number)
