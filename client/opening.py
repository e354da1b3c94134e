"""Opening a site: its database, and its images mapped. Brings numpy."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client.home import HomeConfig, HomeError, open_store, read_config
from client.images import ArrayImages, Images
from client.paths import HomePaths
from client.site import Site
from client.store.store import SiteStore

_NO_IMAGES = np.zeros((0, 1, 1, 1), dtype=np.uint8)


def open_home(home: Path) -> Site:
    """The site whose home this is, its database opened and its images mapped.

    Raises:
        HomeError: no configuration, or one that does not fit.
    """
    config = read_config(home)
    pixels = _array(home, config)
    store = open_store(home, durable=config.durable)
    return Site(
        name=config.name,
        number=config.number,
        home=home,
        store=store,
        images=pixels or _located(home, config, store),
        durable=config.durable,
        allow_import=config.allow_import or config.plugins,
        least_patients=config.deployment.least_patients if config.deployment else 0,
    )


def _array(home: Path, config: HomeConfig) -> ArrayImages | None:
    """The one array that a simulated site's images are; None where site.toml names none."""
    if not config.images:
        return None
    try:
        return ArrayImages(_mapped((home / config.images).resolve()))
    except FileNotFoundError:
        raise HomeError(f"{home}: the images that site.toml names are missing") from None
    except ValueError:
        raise HomeError(f"{home}: the images that site.toml names cannot be read") from None


def _located(home: Path, config: HomeConfig, store: SiteStore) -> Images:
    """Images read where the hospital keeps them; none in a home without a secret."""
    from client.patients import site_key
    from client.sources.cache import PixelCache
    from client.sources.decoder import Decoder
    from client.sources.located import LocatedImages
    from client.sources.reach import Reach
    from client.sources.seal import Seal

    try:
        seal = Seal(site_key(home))
    except HomeError:
        return ArrayImages(_NO_IMAGES)
    cache = PixelCache(HomePaths(home).cache, int(config.cache_gib * 2**30))
    return LocatedImages(store, seal, cache, Decoder(), Reach(HomePaths(home)))


def _mapped(file: Path) -> NDArray[np.uint8]:
    return _mapping(file, file.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _mapping(file: Path, changed: int) -> NDArray[np.uint8]:
    """The file's array, mapped once for all simulated sites that share it."""
    pixels: NDArray[np.uint8] = np.load(file, mmap_mode="r", allow_pickle=False)
    return pixels
