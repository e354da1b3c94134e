"""A thread with the site opened for itself, and the questions that wait for it.

What changes anything is asked in one transaction with everything else that waits: twenty readers
who answer at once wait for the disk once. Each question is a savepoint, refused or failed by
itself, and nobody is answered before the transaction around it is on the disk.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from client.images import Volume
from client.paths import HomePaths
from client.site import Site

T = TypeVar("T")

VOLUMES = 8
"""Cases whose images stay open in a thread: their slices are asked for one by one."""

MOST = 64
"""Questions of one transaction at most."""


@dataclass(slots=True, eq=False)
class _Asked:
    """A question and its answer to be.

    Attributes:
        changes: it may write.
        failed: what it raised, told once the others of its transaction are on the disk.
    """

    question: Callable[[Site], Any]
    changes: bool
    answer: Future[Any] = field(default_factory=Future)
    told: Any = None
    failed: BaseException | None = None

    def settle(self, instead: BaseException | None = None) -> None:
        """Tell whoever asked.

        Args:
            instead: of the answer, because nothing of the transaction stands.
        """
        with suppress(Exception):  # nobody waits any more: the page was closed
            if failed := instead or self.failed:
                self.answer.set_exception(failed)
            else:
                self.answer.set_result(self.told)


class Post:
    """A thread with the site opened for itself, and again when its configuration changed."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._asked: SimpleQueue[_Asked | None] = SimpleQueue()
        self._site: Site | None = None
        self._stamp = (0, 0)
        self._volumes: OrderedDict[int, Volume] = OrderedDict()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    async def ask(self, question: Callable[[Site], T], *, changes: bool = False) -> T:
        """The answer to a question to the site, asked in this thread.

        Args:
            question: to the site.
            changes: it may write; what it wrote is on the disk before the answer is told.
        """
        asked = _Asked(question, changes)
        self._asked.put(asked)
        answer: T = await asyncio.wrap_future(asked.answer)
        return answer

    def volume(self, site: Site, case: int, row: int) -> Volume:
        """A case at full resolution; in this thread alone.

        Args:
            site: of this thread.
            case: its id: after a purge another case may come to the row.
            row: of the source.
        Raises:
            Unreadable: its pixels cannot be had.
        """
        if case not in self._volumes:
            self._volumes[case] = site.images.volume(row)
            if len(self._volumes) > VOLUMES:
                self._volumes.popitem(last=False)
        return self._volumes[case]

    def close(self) -> None:
        """Let go of thread and database; nothing may be asked any more."""
        self._asked.put(None)
        self._thread.join()

    def _serve(self) -> None:
        """Answer what waits until told to stop."""
        while (waiting := self._waiting()) is not None:
            changing = [one for one in waiting if one.changes]
            for one in waiting:
                if not one.changes:
                    self._answer(one)
                    one.settle()
            if changing:
                self._together(changing)
        self._shut()

    def _waiting(self) -> list[_Asked] | None:
        """All that is asked, once anything is; None at the end."""
        found: list[_Asked] = []
        with suppress(Empty):
            while len(found) < MOST:
                one = self._asked.get(block=not found)
                if one is None:
                    if found:
                        self._asked.put(None)  # what came before the end is still answered
                    return found or None
                found.append(one)
        return found

    def _together(self, asked: Sequence[_Asked]) -> None:
        """Answer these in one transaction; if that does not stand, none of them has an answer."""
        lost: BaseException | None = None
        try:
            store = self._opened().store
            with store.transaction():
                for one in asked:
                    self._answer(one)
                    if not store.connection.in_transaction:  # SQLite undid all of it by itself
                        raise one.failed or sqlite3.OperationalError("the transaction was undone")
        except Exception as error:  # told to everybody who asked
            lost = error
        for one in asked:
            one.settle(lost)

    def _answer(self, one: _Asked) -> None:
        """Ask one question; within a transaction it is undone alone where it fails."""
        try:
            site = self._opened()
            if one.changes:
                with site.store.transaction():
                    one.told = one.question(site)
            else:
                one.told = one.question(site)
        except BaseException as error:  # SystemExit too: an unanswered asker would wait for good
            one.failed = error

    def _opened(self) -> Site:
        from client.opening import open_home

        found = HomePaths(self.home).config.stat()
        stamp = (found.st_mtime_ns, found.st_ino)
        within = self._site is not None and self._site.store.connection.in_transaction
        if self._site is None or (stamp != self._stamp and not within):
            self._shut()
            self._site, self._stamp = open_home(self.home), stamp
        return self._site

    def _shut(self) -> None:
        from client.sources.located import LocatedImages

        self._volumes.clear()
        if self._site is None:
            return
        if isinstance(self._site.images, LocatedImages):
            self._site.images.close()
        self._site.store.close()
        self._site = None
