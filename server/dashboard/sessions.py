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
"""Wrong passwords in that many seconds, from wherever, after which nobody may try for a while."""


@dataclass(slots=True)
class Sessions:
    """Sessions in memory: a restart of the dashboard signs everybody out.

    Attributes:
        clock: seconds, never going back.
    """

    clock: Callable[[], float] = time.monotonic
    _until: dict[str, float] = field(default_factory=dict)
    _wrong: deque[float] = field(default_factory=deque)

    def begin(self) -> str:
        """The token of a new session."""
        now = self.clock()
        self._until = {token: end for token, end in self._until.items() if end > now}
        token = secrets.token_urlsafe(32)
        self._until[token] = now + LASTS
        return token

    def alive(self, token: str) -> bool:
        """Whether that is the token of a session that lasts."""
        return self._until.get(token, 0.0) > self.clock()

    def end(self, token: str) -> None:
        """Sign out."""
        self._until.pop(token, None)

    def guessed_wrong(self) -> None:
        """Count a wrong password."""
        self._wrong.append(self.clock())

    @property
    def closed(self) -> bool:
        """Whether there were too many wrong passwords just now."""
        while self._wrong and self._wrong[0] < self.clock() - WITHIN:
            self._wrong.popleft()
        return len(self._wrong) >= GUESSES
