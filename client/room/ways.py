"""What a page may ask for, and who may: the one table of the room's rights.

`/api/sign-in`, `/api/sign-out` and `/api/image` stand in `app.py`; everything else is here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from client.room import acts, practising
from client.room.auditing import audited
from client.room.forms import Answered, Audited, Drafted, Form, Left, Looked, Practised, Which
from client.room.quality import agreed
from client.site import Site
from client.store.reader_shelf import Account

Act = Callable[[Site, Account, Any], Any]

WORKING = frozenset({"reader", "adjudicator"})
READER = frozenset({"reader"})
ADMIN = frozenset({"admin"})
AUDITOR = frozenset({"auditor"})
EVERYONE = WORKING | ADMIN | AUDITOR


@dataclass(frozen=True, slots=True)
class Way:
    """One thing that a page may ask for.

    Attributes:
        act: what is done, in the thread of the site's store, once the role was looked at.
        roles: who may.
        form: of the body; None where nothing changes, which is asked by GET without one.
        aside: it takes long, and is asked in a thread where nobody's answer waits.
    """

    path: str
    act: Act
    roles: frozenset[str]
    form: type[Form] | None = None
    aside: bool = False

    @property
    def method(self) -> str:
        """Of HTTP."""
        return "GET" if self.form is None else "POST"


WAYS: tuple[Way, ...] = (
    Way("/api/me", acts.me, EVERYONE),
    Way("/api/overview", acts.overview, ADMIN),
    Way("/api/audit", audited, AUDITOR, Audited, aside=True),
    Way("/api/agreement", agreed, ADMIN, aside=True),
    Way("/api/next", acts.following, WORKING, Which),
    Way("/api/renew", acts.renew, WORKING, Form),
    Way("/api/leave", acts.leave, WORKING, Left),
    Way("/api/draft", acts.draft, WORKING, Drafted),
    Way("/api/answer", acts.answer, WORKING, Answered),
    Way("/api/undo", acts.undo, WORKING, Which),
    Way("/api/opinion", acts.opinion, WORKING, Looked),
    Way("/api/practice", practising.answer, READER, Practised),
    Way("/api/second-look", acts.second_look, WORKING, Answered),
)
