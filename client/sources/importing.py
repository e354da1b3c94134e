"""One import: what the source has, held against what the site has, into the store in small steps.

Killed anywhere it leaves whole cases; the same import again takes up the rest.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from client.audit.chain import note
from client.keys import SiteKey
from client.site import Arrival, enrol
from client.sources.decoder import Decoder
from client.sources.examining import Examiners, examined
from client.sources.reach import Reach
from client.sources.seal import Seal
from client.sources.source import TROUBLES, Find, Looked, Passed, PixelTrouble, Source
from client.store.locator_shelf import Located, Place
from client.store.store import SiteStore, now

_BATCH = 32
CHANGED = "other instances than when it was imported; the case stays as it was"
PURGED = "purged here before"
SPLIT = "the patient is in the other split already"


@dataclass(slots=True)
class Tally:
    """What an import did.

    Attributes:
        taken: new cases by modality.
        patients: keys of their patients.
        known: cases that were there already.
        moved: of these, cases found in another place, or readable again.
        skipped: files or cases by reason.
        keys: of the cases skipped, where they are known, by reason.
    """

    taken: Counter[str] = field(default_factory=Counter)
    patients: set[str] = field(default_factory=set)
    known: int = 0
    moved: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    keys: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def skip(self, reason: str, key: str = "", count: int = 1) -> None:
        """Count what was passed over."""
        self.skipped[reason] += count
        if key:
            self.keys[reason].append(key)


@dataclass(slots=True)
class Import:
    """One run of an import.

    Attributes:
        store: of the site.
        key: the site's secret.
        decoder: its limits are those of the children that decode every new case once.
        dry: look at everything, write nothing.
        progress: is told now and then how many cases were dealt with.
        reach: brings the files of cases that are in an archive.
    """

    store: SiteStore
    key: SiteKey
    decoder: Decoder
    dry: bool = False
    progress: Callable[[Tally], None] = field(default=lambda tally: None)
    reach: Reach = field(default_factory=Reach)
    _waiting: list[tuple[Find, str]] = field(default_factory=list)
    _examiners: Examiners | None = None
    _splits: dict[str, str] = field(default_factory=dict)
    _keyed: int = 0

    def run(self, source: Source) -> Tally:
        """Everything that the source has.

        Raises:
            SourceError: the source as a whole cannot be used; what was taken before stays.
        """
        tally = Tally()
        with Examiners(self.reach, self.decoder) as self._examiners:
            for item in source.finds():
                if isinstance(item, Looked):
                    self._remember(item, tally)
                elif isinstance(item, Passed):
                    tally.skip(item.reason, item.name and self.key.case(item.name), item.count)
                else:
                    self._meet(item, self._examiners, tally)
                self._gather(tally)
                self.progress(tally)
            self._gather(tally, everything=True)
        self._examiners = None
        if tally.taken and not self.dry:
            with self.store.transaction():
                note(self.store, "imported", words=f"{tally.taken.total()} cases")
        return tally

    def looked(self, part: str) -> str:
        """What a part of a source looked like when it was last taken whole; "" if it never was."""
        if self.store.locators.troubled():
            return ""  # it may be readable again
        return self.store.cases.fact(self._part(part))

    def _part(self, part: str) -> str:
        return f"looked at {self.key.case(part)}"

    def _remember(self, looked: Looked, tally: Tally) -> None:
        """Keep that a part was taken whole, once all of it is in the store."""
        self._gather(tally, everything=True)
        before, self._keyed = self._keyed, sum(map(len, tally.keys.values()))
        whole = self._keyed == before  # no case of it was skipped
        if whole and not self.dry:
            with self.store.transaction():
                self.store.cases.set_fact(self._part(looked.part), looked.mark)

    def _gather(self, tally: Tally, *, everything: bool = False) -> None:
        """Count what was examined, and put it into the store in batches."""
        for one in self._examiners.done(everything=everything) if self._examiners else ():
            try:
                self._waiting.append((one.coming.result(), one.case))
            except PixelTrouble as trouble:
                tally.skip(TROUBLES[str(trouble)], one.case)
                continue
            tally.taken[one.find.facts.get("modality", "image")] += 1
            tally.patients.add(self.key.patient(one.find.patient))
        if everything or len(self._waiting) >= _BATCH:
            self._flush()

    def _meet(self, find: Find, examiners: Examiners, tally: Tally) -> None:
        case, patient = self.key.case(find.name), self.key.patient(find.patient)
        if self.store.locators.gone(case) or self.store.locators.gone(patient):
            tally.skip(PURGED)
            return
        known = self.store.locators.known(case)
        if known is not None:
            self._meet_again(find, known, tally)
            return
        split = self._splits.setdefault(
            patient, self.store.locators.split_of(patient) or find.split
        )
        if split != find.split:
            tally.skip(SPLIT, case)
            return
        examiners.begin(find, case)

    def _meet_again(self, find: Find, known: Place, tally: Tally) -> None:
        """A case that is there already: the same, elsewhere, readable again, or changed."""
        if self.key.instances(find.instances) != known.located.instances:
            tally.skip(CHANGED, known.located.key)
            return
        tally.known += 1
        old = dict(Seal(self.key).open(known.located.sealed, known.located.key))
        plan = old.pop("plan")
        if old == find.locator and not known.trouble:
            return
        moved: Find | None = replace(find, locator={**find.locator, "plan": plan})
        if known.trouble:
            moved = self._examined(find, known.located.key, tally)
        if moved is None or self.dry:
            return
        tally.moved += 1
        with self.store.transaction():
            self.store.locators.put([self._located(moved, known.located.key)], now())

    def _examined(self, find: Find, case: str, tally: Tally) -> Find | None:
        """The find with its plan; None, and counted, where its pixels cannot be decoded."""
        try:
            return examined(find, self.reach, self.decoder)
        except PixelTrouble as trouble:
            tally.skip(TROUBLES[str(trouble)], case)
            return None

    def _located(self, find: Find, case: str) -> Located:
        sealed = Seal(self.key).close(find.locator, case)
        pin = self.key.instances(find.instances)
        return Located(case, sealed, pin, json.dumps(find.facts, sort_keys=True))

    def _flush(self) -> None:
        batch, self._waiting = self._waiting, []
        if not batch or self.dry:
            return
        first = self.store.locators.next_row()
        finds = [find for find, _ in batch]
        arrival = Arrival(
            names=[find.name for find in finds],
            patients=[find.patient for find in finds],
            splits=[find.split for find in finds],
            rows=range(first, first + len(finds)),
            targets=_answers(finds),
            located=[self._located(find, case) for find, case in batch],
        )
        enrol(self.store, self.key, arrival, clustered=self._clustered(finds))

    def _clustered(self, finds: list[Find]) -> bool:
        """Whether every case that the site holds came with a named patient."""
        before = self.store.cases.fact("clustered", "yes")
        return bool(before) and all(find.named for find in finds)


def _answers(finds: list[Find]) -> Any:
    """(n, classes) known answers, zeros where there is none; None where no case has one."""
    classes = max(len(find.answer) for find in finds)
    if not classes:
        return None
    return np.array([find.answer or (0,) * classes for find in finds], dtype=np.uint8)
