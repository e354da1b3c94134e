"""Who is signed in, and how often somebody guessed wrong."""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

LASTS = 12 * 3600.0
"""Seconds that a session lasts."""

GUESSES, WITHIN = 5, 60.0
"""Wrong passwords for a name in that many seconds after which nobody may try it for a while."""

FROM_ONE_ADDRESS = 20
"""The same from one address, whatever the names; a proxy's address is that of all behind it."""

ALL_GUESSES = 200
"""The same over all names and addresses; no more are remembered, however many are tried."""


@dataclass(slots=True)
class Sessions:
    """Sessions in memory: a restart signs everybody out. Threads share them: no step is in two.

    Attributes:
        clock: seconds, never going back.
    """

    clock: Callable[[], float] = time.monotonic
    _until: dict[str, tuple[float, str]] = field(default_factory=dict)

    def begin(self, who: str = "") -> str:
        """The token of a new session of somebody."""
        now = self.clock()
        for old, kept in [*self._until.items()]:  # copied in one go: another thread may end one
            if kept[0] <= now:
                self._until.pop(old, None)
        token = secrets.token_urlsafe(32)
        self._until[token] = now + LASTS, who
        return token

    def alive(self, token: str) -> bool:
        """Whether that is the token of a session that lasts."""
        return self._until.get(token, (0.0, ""))[0] > self.clock()

    def whose(self, token: str) -> str:
        """Who began the session; "" where there is none."""
        until, who = self._until.get(token, (0.0, ""))
        return who if until > self.clock() else ""

    def end(self, token: str) -> None:
        """Sign out."""
        self._until.pop(token, None)


@dataclass(slots=True)
class Guesses:
    """Wrong passwords of the last minute.

    Attributes:
        clock: seconds, never going back.
    """

    clock: Callable[[], float] = time.monotonic
    _wrong: deque[tuple[float, str, str]] = field(default_factory=deque)

    def wrong(self, name: str = "", address: str = "") -> None:
        """Count a wrong password for a name, from an address ("" where it is not known)."""
        self._wrong.append((self.clock(), name, address))

    def closed(self, name: str = "", address: str = "", trying: int = 0) -> bool:
        """Whether there were too many wrong passwords just now.

        Args:
            name: that somebody wants to sign in with.
            address: from which; "" where it is not known.
            trying: passwords that are being tried for the name at this moment; each may be wrong.
        """
        while self._wrong and self._wrong[0][0] < self.clock() - WITHIN:
            self._wrong.popleft()
        named = sum(name == tried for _, tried, _ in self._wrong)
        near = sum(address == place for _, _, place in self._wrong) if address else 0
        named += trying
        return named >= GUESSES or near >= FROM_ONE_ADDRESS or len(self._wrong) >= ALL_GUESSES
