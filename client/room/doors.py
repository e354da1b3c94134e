"""Who comes in: sessions, passwords, roles."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from hashlib import sha256

from starlette.concurrency import run_in_threadpool

from client.site import Site
from client.store.reader_shelf import Account
from daemons.web.passwords import is_right
from daemons.web.sessions import Guesses, Sessions


class NotSignedIn(ValueError):
    """Nobody is signed in, or no longer."""


class Forbidden(ValueError):
    """Somebody asked for what their role does not allow."""


class TooManyGuesses(ValueError):
    """A name for which too many passwords were tried just now."""


@dataclass(frozen=True, slots=True)
class Doors:
    """The room's doors.

    Attributes:
        sessions: who is signed in; a session ends when the password changes.
        guesses: wrong passwords of late.
    """

    sessions: Sessions = field(default_factory=Sessions)
    guesses: Guesses = field(default_factory=Guesses)

    async def open(self, account: Account | None, name: str, password: str) -> str:
        """The token of a new session.

        Raises:
            TooManyGuesses: and nothing was tried.
            NotSignedIn: there is no such name, or the password is wrong; the two look alike.
        """
        if self.guesses.closed(name):
            raise TooManyGuesses("too many wrong passwords; accepted is a try in a minute")
        kept = account.password if account else ""
        if not await run_in_threadpool(is_right, kept, password) or account is None:
            self.guesses.wrong(name)
            raise NotSignedIn("name or password are wrong")
        return self.sessions.begin(f"{account.name} {_mark(account)}")

    def who(self, site: Site, token: str, roles: Collection[str]) -> Account:
        """Whose session it is, asked anew at every request.

        Raises:
            NotSignedIn: the session is over, the account removed or its password changed.
            Forbidden: the account has none of these roles.
        """
        name, _, mark = self.sessions.whose(token).partition(" ")
        account = site.store.readers.find(name) if name else None
        if account is None or _mark(account) != mark:
            raise NotSignedIn("nobody is signed in")
        if account.role not in roles:
            raise Forbidden(f"this is not for the role {account.role}")
        return account


def _mark(account: Account) -> str:
    """Changes with the password."""
    return sha256(account.password.encode()).hexdigest()[:16]
