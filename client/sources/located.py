"""Images read where the hospital keeps them, through the decoding child and a cache on disk."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.images import Image, Unreadable, Volume
from client.sources.cache import PixelCache
from client.sources.decoder import Decoder
from client.sources.plan import Plan, from_json
from client.sources.reach import Reach
from client.sources.seal import Seal
from client.sources.source import OF_THE_PLACE, TROUBLES, Locator, PixelTrouble, SourceError
from client.store.locator_shelf import Place
from client.store.store import SiteStore
from protocol.records import Indices

_AWAY = "the place where the hospital keeps these images cannot be reached"


@dataclass(frozen=True, slots=True)
class LocatedImages:
    """Images of imported cases. What cannot be decoded is noted, and out of the pool from then on.

    Attributes:
        store: of the site; used by the thread that opened it.
        seal: opens locators.
        cache: keeps pixels.
        decoder: reads them.
        reach: brings the files of cases that are in an archive.
    """

    store: SiteStore
    seal: Seal
    cache: PixelCache
    decoder: Decoder
    reach: Reach = field(default_factory=Reach)

    def take(self, rows: Indices, image: Image) -> NDArray[np.uint8]:
        """(k, *image) pixels of these rows, in the order given.

        Raises:
            Unreadable: of `rows`; of none in particular where the whole source is away.
        """
        wanted = [int(row) for row in rows]
        places = self.store.locators.of_rows(wanted)
        pixels = np.empty((len(wanted), *image), dtype=np.uint8)
        lost: list[int] = []
        for i, row in enumerate(wanted):
            try:
                pixels[i] = self._picture(_placed(places.get(row), row), image)
            except Unreadable as gone:
                if not gone.rows:
                    raise
                lost.append(row)
        if lost:
            raise Unreadable(f"{len(lost)} of {len(wanted)} cases cannot be read", lost)
        return pixels

    def volume(self, row: int) -> Volume:
        """One case at full resolution, its slices mapped from the cache.

        Raises:
            Unreadable: it cannot be had.
        """
        place = _placed(self.store.locators.of_rows([row]).get(int(row)), row)
        locator = self._locator(place)
        plan = from_json(locator["plan"])
        name = f"{_version(place, plan)}.volume"
        file = self.cache.find(place.case, name) or self._decoded(place, locator, plan, name)
        slices: NDArray[Any] = np.memmap(file, np.dtype(plan.dtype), "r", shape=plan.whole)
        return Volume(slices, plan.geometry)

    def close(self) -> None:
        """End the decoding child; the next case starts another."""
        self.decoder.close()

    def _picture(self, place: Place, image: Image) -> NDArray[np.uint8]:
        name = f"{place.located.instances[:16]}.{'x'.join(map(str, image))}"
        size = int(np.prod(image))
        kept = self.cache.find(place.case, name)
        if kept is not None and kept.stat().st_size == size:
            return np.fromfile(kept, np.uint8).reshape(image)
        locator = self._locator(place)
        request = {"op": "picture", "image": list(image)}
        block = self._asked(place, locator, request)
        if len(block) != size:
            raise self._noted(place, "unreadable")
        self.cache.put(place.case, name, block)
        self._recheck(place)
        return np.frombuffer(block, np.uint8).reshape(image)

    def _decoded(self, place: Place, locator: dict[str, Any], plan: Plan, name: str) -> Path:
        size = int(np.prod(plan.whole)) * np.dtype(plan.dtype).itemsize
        try:
            with self.cache.making(place.case, name, size) as fresh:
                self._asked(place, locator, {"op": "volume", "out": str(fresh)})
                if fresh.stat().st_size != size:
                    raise self._noted(place, "changed")
        except ValueError:
            raise Unreadable("the case is larger than the cache", [place.row]) from None
        self._recheck(place)
        kept = self.cache.find(place.case, name)
        if kept is None:
            raise Unreadable("the case was removed meanwhile", [place.row])
        return kept

    def _asked(self, place: Place, locator: dict[str, Any], request: dict[str, Any]) -> bytes:
        files = locator.get("files", ())
        try:
            with self.reach.local(locator, self.decoder) as near:
                request = {**request, "locator": dict(near)}
                return self.decoder.ask(request, files=len(files) or 1)[1]
        except PixelTrouble as trouble:
            if str(trouble) in OF_THE_PLACE or gone(locator):
                raise Unreadable(_AWAY) from None  # nothing is noted: it may come back
            raise self._noted(place, str(trouble)) from None
        except SourceError:  # the login was taken away, or spoilt
            raise Unreadable(_AWAY) from None

    def _locator(self, place: Place) -> dict[str, Any]:
        return dict(self.seal.open(place.located.sealed, place.located.key))

    def _noted(self, place: Place, trouble: str) -> Unreadable:
        with self.store.transaction():
            self.store.locators.note_trouble([place.row], trouble)
        return Unreadable(f"the case cannot be read: {TROUBLES[trouble]}", [place.row])

    def _recheck(self, place: Place) -> None:
        """A purge while the case was decoded must not leave its pixels behind."""
        if not self.store.locators.exists(place.case):
            self.cache.forget([place.case])


def gone(locator: Locator) -> bool:
    """Whether a folder is not there for us: closed, or empty, as where a share is not mounted."""
    if locator["kind"] == "dicomweb":
        return False
    try:
        with os.scandir(locator["root"]) as entries:
            return next(entries, None) is None
    except OSError:
        return True


def _placed(place: Place | None, row: int) -> Place:
    if place is None:
        raise Unreadable("the case has no place to be read from", [row])
    if place.trouble:
        raise Unreadable(
            f"the case cannot be read: {TROUBLES.get(place.trouble, place.trouble)}", [row]
        )
    return place


def _version(place: Place, plan: Plan) -> str:
    """Another list of instances, or another way to store them, is another file."""
    exact = "exact" if plan.exact else "spread"
    shape: Sequence[int] = plan.shape
    return f"{place.located.instances[:16]}.{plan.dtype}-{exact}-{'x'.join(map(str, shape))}"
