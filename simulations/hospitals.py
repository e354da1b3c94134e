"""Hospitals on one disk: every site's home, its cases enrolled, its images mapped.

The same files whether made at once or after an interruption: nothing here depends on time.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from client.cases.cases import Cases
from client.home import HomeConfig, make_home, open_store
from client.keys import SiteKey
from client.site import Arrival, enrol
from protocol.records import Indices
from protocol.seeds import Purpose, generator
from protocol.study import Study
from simulations.oracle import Oracle
from simulations.scanners import scanner
from simulations.splits import SplitError, split_sites


@dataclass(frozen=True, slots=True)
class Hospitals:
    """The sites of one run.

    Attributes:
        names: in site order.
        homes: their folders, in site order.
        case_of: for every site, the source's key of each of the site's own case keys.
    """

    names: tuple[str, ...]
    homes: tuple[Path, ...]
    case_of: Mapping[str, Mapping[str, str]]


def rows_of(study: Study, cases: Cases) -> dict[str, Indices]:
    """The rows of the source that each site holds, in site order; the seed's own split.

    Raises:
        SplitError: the cases do not allow the split, or a site is to fall silent that is not there.
    """
    settings = study.simulation
    rng = generator(study.seed, -1, 0, 0, Purpose.SPLIT)
    rows = split_sites(cases, settings.split, settings.sites, rng)
    if strange := sorted(settings.silent.keys() - rows.keys()):
        raise SplitError(
            f"simulation.silent names {strange[0]!r}; accepted are {', '.join(sorted(rows))}"
        )
    return rows


def site_key(study: Study, number: int) -> SiteKey:
    """The secret of a simulated site, from the study's seed."""
    return SiteKey(hashlib.sha256(f"wardround simulation {study.seed} {number}".encode()).digest())


def write_images(study: Study, cases: Cases, rows: Mapping[str, Indices], out: Path) -> Path:
    """The file of all images as the sites' scanners show them, made if it is not there.

    Without scanners one file serves every seed; with them each seed has its own.
    """
    scanners = study.simulation.scanners
    path = out / "data" / (f"images-seed-{study.seed}.npy" if scanners else "images.npy")
    if path.exists():
        return path
    images = cases.images
    if scanners:
        images = np.array(images)
        for number, (_, own) in enumerate(rows.items()):
            images[own] = scanner(study.seed, number).apply(images[own])
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}.npy")
    np.save(fresh, images, allow_pickle=False)
    os.replace(fresh, path)
    return path


def admit(
    study: Study,
    weights: str,
    cases: Cases,
    rows: Mapping[str, Indices],
    oracle: Oracle,
    folder: Path,
    images: Path,
) -> Hospitals:
    """The run's hospitals under `folder`, their homes made or found.

    Args:
        weights: hash of the study's first weights; every site approves study and weights.
        oracle: gives each site the answers of its locked test cases, and counts them.
        folder: gets one home per site.
        images: of `write_images`.
    """
    homes, case_of = [], {}
    for number, (name, own) in enumerate(rows.items()):
        home = folder / name
        key = site_key(study, number)
        locked = oracle.locked(name)
        make_home(
            home,
            HomeConfig(
                name=name,
                number=number,
                images=os.path.relpath(images, home),
                durable=False,
                allow_import=True,
            ),
        )
        arrival = Arrival(
            names=[cases.keys[i] for i in own],
            patients=[cases.patients[i] for i in own],
            splits=["locked" if cases.splits[i] == "test" else "pool" for i in own],
            rows=own.tolist(),
            targets=np.array(
                [locked.get(cases.keys[i], np.zeros(len(study.task.classes))) for i in own],
                dtype=np.uint8,
            ),
        )
        store = open_store(home, durable=False)
        enrol(store, key, arrival, clustered=cases.clustered)
        with store.transaction():
            store.steps.approve(study, weights)
        store.close()
        homes.append(home)
        case_of[name] = {key.case(cases.keys[i]): cases.keys[i] for i in own}
    return Hospitals(tuple(rows), tuple(homes), case_of)
