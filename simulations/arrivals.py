"""Pools that change while a study runs: when each patient comes, and before which scanner."""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.cases.cases import Cases
from client.home import open_store
from client.site import Arrival, enrol
from protocol.records import Indices
from protocol.rehearsal import Drift
from protocol.seeds import Purpose, generator
from protocol.study import Study
from simulations.hospitals import Hospitals, site_key, write_images
from simulations.scanners import scanner


@dataclass(frozen=True, slots=True, eq=False)
class Arrivals:
    """When the cases of a run come to their sites.

    Attributes:
        study: of the run.
        cases: its source.
        rows: of every site, in site order.
        at: (cases,) the cycle before which each case is there. Locked test cases are there from the
            start, and have the cycle whose scanner made them.
    """

    study: Study
    cases: Cases
    rows: Mapping[str, Indices]
    at: NDArray[np.int64]

    def first(self) -> dict[str, Indices]:
        """The rows of every site that are there in the first cycle, all locked ones among them."""
        locked = np.asarray(self.cases.splits) == "test"
        return {site: own[locked[own] | (self.at[own] == 0)] for site, own in self.rows.items()}

    def all_known(self, hospitals: Hospitals) -> Hospitals:
        """The hospitals with the source's key of every case, of those still to come, too."""
        case_of = {}
        for number, (site, own) in enumerate(self.rows.items()):
            key = site_key(self.study, number)
            case_of[site] = {key.case(self.cases.keys[i]): self.cases.keys[i] for i in own}
        return replace(hospitals, case_of=case_of)

    def come(self, hospitals: Hospitals, cycle: int) -> None:
        """Enrol at every site who comes before a cycle; those enrolled already are left alone."""
        for number, site in enumerate(hospitals.names):
            own = self._coming(site, cycle)
            if not own.size:
                continue
            arrival = Arrival(
                names=[self.cases.keys[i] for i in own],
                patients=[self.cases.patients[i] for i in own],
                splits=["pool"] * len(own),
                rows=own.tolist(),
            )
            store = open_store(hospitals.homes[number], durable=False)
            enrol(store, site_key(self.study, number), arrival, clustered=self.cases.clustered)
            store.close()

    def write_images(self, out: Path) -> Path:
        """The file of all images as the scanner of their cycle shows them, made if it is not there.

        Before the change they look as `hospitals.write_images` has them; locked cases like the
        pool's patients of the same time.
        """
        path = write_images(self.study, self.cases, self.rows, out)
        changed = self.study.simulation.drift.scanner
        if not changed:
            return path
        later = self.at >= changed
        mark = zlib.crc32(later.tobytes())
        drifted = out / "data" / f"{path.stem}-drift-{self.study.seed}-{mark:08x}.npy"
        if drifted.exists():
            return drifted
        images = np.load(path)
        for number, own in enumerate(self.rows.values()):
            new = own[later[own]]
            images[new] = scanner(self.study.seed, number, machine=1).apply(self.cases.images[new])
        fresh = drifted.with_name(f".{drifted.name}.{os.getpid()}.npy")
        np.save(fresh, images, allow_pickle=False)
        os.replace(fresh, drifted)
        return drifted

    def told(self) -> list[dict[str, Any]]:
        """For each cycle that somebody comes before: how many cases, and how many of each class.

        For the report of a simulation, which knows the truths; empty where nobody comes later.
        """
        drift, targets = self.study.simulation.drift, self.cases.targets
        if not drift.arriving or targets is None:
            return []
        return [
            {
                "cycle": cycle,
                "cases": len(own),
                "classes": [int(v) for v in targets[own].sum(axis=0, dtype=np.int64)],
                "new_scanner": bool(drift.scanner and cycle >= drift.scanner),
            }
            for cycle in range(drift.cycles + 1)
            if (own := np.concatenate([self._coming(site, cycle) for site in self.rows])).size
        ]

    def _coming(self, site: str, cycle: int) -> Indices:
        """Rows of the pool cases that come to a site before a cycle."""
        own = self.rows[site]
        pool = np.asarray(self.cases.splits)[own] == "pool"
        coming: Indices = own[pool & (self.at[own] == cycle)]
        return coming


def arrivals(study: Study, cases: Cases, rows: Mapping[str, Indices]) -> Arrivals:
    """When the cases come, by the study's seed: all at once unless `[simulation.drift]` says else.

    The same for every arm; at each site, of each split, patients come in the order of their times.
    """
    drift, at = study.simulation.drift, np.zeros(len(cases), dtype=np.int64)
    if drift.arriving:
        splits = np.asarray(cases.splits)
        for number, own in enumerate(rows.values()):
            rng = generator(study.seed, number, 0, 0, Purpose.ARRIVAL)
            for split in ("pool", "test"):
                mine = own[splits[own] == split]
                if mine.size:
                    at[mine] = _cycles(cases, mine, drift, rng)
    return Arrivals(study, cases, rows, at)


def _cycles(
    cases: Cases, rows: Indices, drift: Drift, rng: np.random.Generator
) -> NDArray[np.int64]:
    """The cycle before which each of these cases of one site is there; all of a patient at once."""
    patients = np.asarray(cases.patients)[rows]
    _, first, of_case = np.unique(patients, return_index=True, return_inverse=True)
    tilt = np.ones(len(first))
    if drift.prevalence and cases.targets is not None:
        tilt = _tilts(cases.targets[rows[first]], drift.prevalence)
    times = time_of(rng.random(len(first)), tilt)
    rank = np.argsort(np.argsort(times, kind="stable"), kind="stable")
    late = ((rank + 0.5) / len(first) - (1 - drift.arriving)) / drift.arriving
    cycle = np.where(late > 0, 1 + np.floor(late * drift.cycles), 0).astype(np.int64)
    cycle[rank == 0] = 0  # no pool is empty at the start
    return np.minimum(cycle, drift.cycles)[of_case]


def time_of(uniform: NDArray[np.float64], tilt: NDArray[np.float64]) -> NDArray[np.float64]:
    """Times in [0, 1) whose density at the end is `tilt` times that at the start.

    The density is proportional to tilt ** t, so a class's odds against one with tilt 1 grow by
    the factor tilt from the first patient to the last.

    Args:
        uniform: (n,) in [0, 1).
        tilt: (n,) above 0.
    """
    even = np.isclose(tilt, 1.0)
    bent = np.where(even, 2.0, tilt)
    return np.where(even, uniform, np.log1p(uniform * (bent - 1)) / np.log(bent))


def _tilts(targets: NDArray[np.uint8], prevalence: tuple[float, ...]) -> NDArray[np.float64]:
    """(n,) of the rarest class that each case belongs to; 1 for a case of no class."""
    counts = targets.sum(axis=0, dtype=np.int64)
    rarity = np.where(targets == 1, counts, counts.max(initial=0) + 1)
    tilts = np.asarray(prevalence)[rarity.argmin(axis=1)]
    return np.where(targets.any(axis=1), tilts, 1.0)
