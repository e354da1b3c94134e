"""A site's home: the folder with its configuration, its database and its log."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from pathlib import Path

import numpy as np
import tomli_w
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from client.site import ArrayImages, Site
from client.store.store import SiteStore

_CONFIG = "site.toml"
_DATABASE = "site.db"


class HomeError(ValueError):
    """A home that cannot be opened, in one sentence."""


class HomeConfig(BaseModel):
    """What `site.toml` says.

    Attributes:
        name: of the site, unique in the federation.
        number: its place in site order.
        images: a .npy file of (n, channels, height, width) uint8, by path relative to the home.
        durable: sync every commit to disk; False only in simulations.
        allow_import: a study may name strategies outside the project; True only in simulations.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    number: int
    images: str
    durable: bool = True
    allow_import: bool = False


def make_home(home: Path, config: HomeConfig) -> None:
    """Write a home's configuration; the folder is made if it is not there."""
    home.mkdir(parents=True, exist_ok=True)
    (home / _CONFIG).write_text(tomli_w.dumps(config.model_dump()), encoding="utf-8")


def open_home(home: Path) -> Site:
    """The site whose home this is, its database opened and its images mapped.

    Raises:
        HomeError: no configuration, or one that does not fit.
    """
    try:
        document = tomllib.loads((home / _CONFIG).read_text(encoding="utf-8"))
        config = HomeConfig.model_validate(document)
        pixels = _mapped((home / config.images).resolve())
    except FileNotFoundError as error:
        raise HomeError(f"{home}: {Path(error.filename).name} is missing") from None
    except (tomllib.TOMLDecodeError, ValidationError, ValueError):
        raise HomeError(f"{home}: {_CONFIG} or the images it names cannot be read") from None
    return Site(
        name=config.name,
        number=config.number,
        home=home,
        store=open_store(home, durable=config.durable),
        images=ArrayImages(pixels),
        durable=config.durable,
        allow_import=config.allow_import,
    )


def _mapped(file: Path) -> NDArray[np.uint8]:
    return _mapping(file, file.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _mapping(file: Path, changed: int) -> NDArray[np.uint8]:
    """The file's array, mapped once for all simulated sites that share it."""
    pixels: NDArray[np.uint8] = np.load(file, mmap_mode="r", allow_pickle=False)
    return pixels


def open_store(home: Path, *, durable: bool = True) -> SiteStore:
    """A home's database alone: what readers need, without images or torch."""
    return SiteStore.open(home / _DATABASE, durable=durable)
