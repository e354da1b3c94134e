"""Opening a site: its database, and its images mapped. Brings numpy."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client.home import HomeError, open_store, read_config
from client.images import ArrayImages
from client.site import Site

_NO_IMAGES = np.zeros((0, 1, 1, 1), dtype=np.uint8)


def open_home(home: Path) -> Site:
    """The site whose home this is, its database opened and its images mapped.

    Raises:
        HomeError: no configuration, or one that does not fit.
    """
    config = read_config(home)
    try:
        pixels = _mapped((home / config.images).resolve()) if config.images else _NO_IMAGES
    except FileNotFoundError:
        raise HomeError(f"{home}: the images that site.toml names are missing") from None
    except ValueError:
        raise HomeError(f"{home}: the images that site.toml names cannot be read") from None
    return Site(
        name=config.name,
        number=config.number,
        home=home,
        store=open_store(home, durable=config.durable),
        images=ArrayImages(pixels),
        durable=config.durable,
        allow_import=config.allow_import or config.plugins,
        least_patients=config.deployment.least_patients if config.deployment else 0,
    )


def _mapped(file: Path) -> NDArray[np.uint8]:
    return _mapping(file, file.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _mapping(file: Path, changed: int) -> NDArray[np.uint8]:
    """The file's array, mapped once for all simulated sites that share it."""
    pixels: NDArray[np.uint8] = np.load(file, mmap_mode="r", allow_pickle=False)
    return pixels
