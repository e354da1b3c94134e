"""`SiteStore`: opening the database, transactions, and the shelves that the rest of a site uses."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from client.store.case_shelf import CaseShelf
from client.store.cycle_shelf import CycleShelf
from client.store.draft_shelf import DraftShelf
from client.store.label_shelf import LabelShelf
from client.store.lease_shelf import LeaseShelf
from client.store.locator_shelf import LocatorShelf
from client.store.offer_shelf import OfferShelf
from client.store.opinion_shelf import OpinionShelf
from client.store.practice_shelf import PracticeShelf
from client.store.privacy_shelf import PrivacyShelf
from client.store.reader_shelf import ReaderShelf
from client.store.reading_shelf import ReadingShelf
from client.store.repeat_shelf import RepeatShelf
from client.store.schema import MIGRATIONS
from client.store.step_shelf import StepShelf
from daemons.migrations import migrate


def now() -> str:
    """The time, UTC, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True)
class SiteStore:
    """One site's SQLite file.

    Attributes:
        cases: patients and cases, their splits, exclusion and purge.
        readings: openings and answers.
        labels: answers as consensus takes them, and what came of them.
        steps: approved studies, epochs, and the answer to every step.
        offers: studies that asked to run here, and where each one stands.
        cycles: which is the newest, and which take no further reading.
        readers: accounts of the reading room.
        leases: who reads which case just now, and what was taken back.
        locators: where the pixels of imported cases are.
        drafts: what readers have chosen and not sent.
        opinions: what the model said of opened cases.
        repeats: which cases may come back to their reader, and which did.
        privacy: what studies spent of the patients' privacy.
        practice: cases whose answer is known, and what readers said of them.
    """

    connection: sqlite3.Connection
    cases: CaseShelf
    readings: ReadingShelf
    labels: LabelShelf
    steps: StepShelf
    offers: OfferShelf
    cycles: CycleShelf
    readers: ReaderShelf
    leases: LeaseShelf
    locators: LocatorShelf
    drafts: DraftShelf
    opinions: OpinionShelf
    repeats: RepeatShelf
    privacy: PrivacyShelf
    practice: PracticeShelf

    @classmethod
    def open(cls, path: Path, *, durable: bool = True) -> SiteStore:
        """The store in that file, made or migrated as needed.

        Args:
            path: of the database; its folder must exist.
            durable: what is committed survives a power cut (a sync to disk with every commit);
                without it, as in simulations, it survives the death of any process.
        """
        connection = sqlite3.connect(path, isolation_level=None, timeout=30.0)
        # a step's reply is a megabyte or more: large pages, and room so that it is written once
        connection.execute("PRAGMA page_size = 16384")
        connection.execute("PRAGMA cache_size = -4096")  # KiB; `rest` gives them back
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'OFF'}")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA secure_delete = ON")  # a purge leaves no bytes in free pages
        connection.execute("PRAGMA wal_autocheckpoint = 250")  # pages: 4 MB, as by default
        migrate(connection, MIGRATIONS)
        return cls(
            connection,
            CaseShelf(connection),
            ReadingShelf(connection),
            LabelShelf(connection),
            StepShelf(connection),
            OfferShelf(connection),
            CycleShelf(connection),
            ReaderShelf(connection),
            LeaseShelf(connection),
            LocatorShelf(connection),
            DraftShelf(connection),
            OpinionShelf(connection),
            RepeatShelf(connection),
            PrivacyShelf(connection),
            PracticeShelf(connection),
        )

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; the only way anything is written.

        Within another one it is a part of it: undone alone where it fails, and on the disk once
        the one around it has committed.
        """
        if self.connection.in_transaction:
            yield from self._part()
            return
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:  # on a full disk SQLite may have rolled back itself
                self.connection.execute("ROLLBACK")
            raise

    def _part(self) -> Iterator[None]:
        self.connection.execute("SAVEPOINT part")
        try:
            yield
        except BaseException:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK TO part")
                self.connection.execute("RELEASE part")
            raise
        self.connection.execute("RELEASE part")

    def rest(self) -> None:
        """Give back the memory of what was written last; a machine may hold hundreds of sites."""
        self.connection.execute("PRAGMA shrink_memory")

    def close(self) -> None:
        """Release the file."""
        self.connection.close()
