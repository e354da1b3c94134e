"""A patient's way out: excluded from every next step, or purged to a tombstone.

Names come as the source calls the patient, and are keyed before anything is looked up or kept.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from client import scored_pool
from client.audit.chain import note
from client.home import HomeError, read_config
from client.keys import SiteKey
from client.paths import HomePaths
from client.sources.cache import PixelCache
from client.store.store import SiteStore, now
from protocol.records import Indices


def site_key(home: Path) -> SiteKey:
    """The site's secret key.

    Raises:
        HomeError: it is not there, or is no key.
    """
    try:
        return SiteKey((HomePaths(home).keys / "site.secret").read_bytes())
    except FileNotFoundError:
        raise HomeError(f"{home}: the site's secret is missing") from None
    except ValueError:
        raise HomeError(f"{home}: the site's secret is too short") from None


def exclude(store: SiteStore, key: SiteKey, patient: str) -> int:
    """How many cases left pool, training and audit, from the next step on.

    Raises:
        ValueError: nobody of that name has cases here.
    """
    keyed = key.patient(patient)
    with store.transaction():
        cases = store.cases.exclude(keyed)
        if not cases:
            raise ValueError(
                "nobody of that name has cases here, and nothing was changed; "
                "accepted is a patient as the source of the cases writes them"
            )
        note(store, "excluded", words=f"1 patient, {cases} cases")
    return cases


def purge(home: Path, store: SiteStore, key: SiteKey, patient: str) -> int:
    """How many cases were removed, with readings, labels, scores and the home's own pixels.

    A tombstone keeps the patient out of later imports, also where there was no case yet.
    """
    keyed = key.patient(patient)
    ids = store.cases.of_patient(keyed)
    cache = PixelCache(HomePaths(home).cache, 0)
    _blank(home, store.cases.rows(ids))
    cache.forget(int(i) for i in ids)
    with store.transaction():
        cases = store.cases.purge(keyed, now())
        note(store, "purged", words=f"1 patient, {cases} cases")
    scored_pool.forget(home, ids)
    cache.forget(int(i) for i in ids)  # what another daemon decoded meanwhile
    return cases


def _blank(home: Path, rows: Indices) -> None:
    """Overwrite pixels by zeros in the home; the hospital's own source is not ours."""
    images = read_config(home).images
    file = (home / images).resolve()
    if not images or not rows.size or home.resolve() not in file.parents or not file.exists():
        return
    pixels = np.load(file, mmap_mode="r+", allow_pickle=False)
    pixels[rows] = 0
    pixels.flush()
