"""Who comes in: sessions, passwords, roles."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, TypeAlias

from client.audit import people
from client.audit.chain import Entry
from client.audit.summed import repeated
from client.site import Site
from client.store.reader_shelf import Account
from daemons.web.passwords import hashed, is_right, is_stale
from daemons.web.sessions import Guesses, Sessions

AT_ONCE = 2
"""Passwords that are tried at once; each takes 19 MiB while it is."""

WAITING = 40
"""Sign-ins under way at once: a shift's worth. Whoever comes then is asked to come again."""

Ask: TypeAlias = Callable[[Callable[[Site], Any]], Awaitable[Any]]
"""Puts a question to the site, in the thread of its store."""


class NotSignedIn(ValueError):
    """Nobody is signed in, or no longer."""


class Forbidden(ValueError):
    """Somebody asked for what their role does not allow."""


class TooManyGuesses(ValueError):
    """A name, or an address, for which too many passwords were tried just now."""


class Crowded(ValueError):
    """More people sign in at this moment than are let in at once."""


@dataclass(slots=True)
class Doors:
    """The room's doors.

    Attributes:
        sessions: who is signed in; a session ends when the password changes.
        guesses: wrong passwords of late.
    """

    sessions: Sessions = field(default_factory=Sessions)
    guesses: Guesses = field(default_factory=Guesses)
    _tries: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(AT_ONCE))
    _trying: list[str] = field(default_factory=list)

    async def open(self, ask: Ask, name: str, password: str, address: str) -> str:
        """The token of a new session; its line stands in the audit log.

        Args:
            ask: puts a question to the site.
            name: as it was typed, as is the password.
            password: tried aside, a few at a time: it costs memory on purpose.
            address: from which it came; "" where it is not known.
        Raises:
            TooManyGuesses: and nothing was tried.
            Crowded: the same.
            NotSignedIn: there is no such name, or the password is wrong; the two look alike.
        """
        if self.guesses.closed(name, address, self._trying.count(name)):
            await ask(_turned_away)
            raise TooManyGuesses("too many wrong passwords; accepted is a try in a minute")
        if len(self._trying) >= WAITING:
            raise Crowded("too many people sign in just now; accepted is a try in a moment")
        self._trying.append(name)
        try:
            account: Account | None = await ask(lambda site: site.store.readers.find(name))
            right, fresh = await self._tried(account, password)
        finally:
            self._trying.remove(name)
        if not right or account is None:
            self.guesses.wrong(name, address)
            known = account.name if account else ""
            await ask(lambda site: _refused(site, known))
            raise NotSignedIn("name or password are wrong")
        kept: Account = await ask(lambda site: _came(site, account, fresh))
        return self.sessions.begin(f"{kept.name} {_mark(kept)}")

    async def _tried(self, account: Account | None, password: str) -> tuple[bool, str]:
        """Whether the password is right, and its hash anew where it was made at another cost."""
        loop = asyncio.get_running_loop()
        kept = account.password if account else ""
        right = await loop.run_in_executor(self._tries, is_right, kept, password)
        if not (right and is_stale(kept)):
            return right, ""
        return True, await loop.run_in_executor(self._tries, hashed, password)

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

    def shut(self) -> None:
        """Let go of the threads."""
        self._tries.shutdown()

    def close(self, site: Site, token: str) -> None:
        """End a session, if that is the token of one; its line stands in the audit log."""
        name = self.sessions.whose(token).partition(" ")[0]
        self.sessions.end(token)
        if name:
            with site.store.transaction():
                people.seen(site.store, people.SIGNED_OUT, name)


def _came(site: Site, account: Account, fresh: str) -> Account:
    """The account as it stands now; its password's hash is made anew where it was stale.

    Raises:
        NotSignedIn: it was removed, or has another password, since the try began.
    """
    with site.store.transaction():
        if site.store.readers.find(account.name) != account:
            raise NotSignedIn("name or password are wrong")
        if fresh:
            site.store.readers.set_password(account.name, fresh)
        people.seen(site.store, people.SIGNED_IN, account.name, words=f"as {account.role}")
        kept = site.store.readers.find(account.name)
    return kept or account


def _refused(site: Site, name: str) -> None:
    with site.store.transaction():
        words = "wrong password" if name else "no such account"
        people.seen(site.store, people.REFUSED, name, words=words)


def _turned_away(site: Site) -> None:
    """A flood shares a line; whose names were tried the lines before it say."""
    with site.store.transaction():
        repeated(site.store, Entry("site", people.REFUSED, words="too many wrong passwords"))


def _mark(account: Account) -> str:
    """Changes with the password."""
    return sha256(account.password.encode()).hexdigest()[:16]
