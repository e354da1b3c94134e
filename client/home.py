"""A site's home: the folder with its configuration, its database and its log."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import tomli_w
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from client.site import ArrayImages, Site
from client.store.store import SiteStore
from protocol.files import replace_file

_CONFIG = "site.toml"
_DATABASE = "site.db"
_NO_IMAGES = np.zeros((0, 1, 1, 1), dtype=np.uint8)


class HomeError(ValueError):
    """A home that cannot be opened, in one sentence."""


class Deployment(BaseModel):
    """What a hospital's daemon needs besides; a simulated site has none.

    Attributes:
        server: host:port that the site dials, as the kit says.
        proxy: the hospital's HTTP CONNECT proxy, [user:password@]host:port; "" for none.
        runtime_port: loopback port of the SuperNode's own Runtime API.
        least_patients: no update leaves while the labels are of fewer patients than this.
        progress_seconds: label progress is told at most this often.
        silence_seconds: a SuperNode that has not reached the server for so long is started anew.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    server: str = ""
    proxy: str = ""
    runtime_port: int = Field(9091, ge=1024, le=65535)
    least_patients: int = Field(16, ge=1)
    progress_seconds: float = Field(60.0, gt=0)
    silence_seconds: float = Field(180.0, gt=0)


class HomeConfig(BaseModel):
    """What `site.toml` says.

    Attributes:
        name: of the site, unique in the federation.
        number: its place in site order, as the kit says.
        images: a .npy file of (n, channels, height, width) uint8, by path relative to the home;
            "" before any case was imported.
        durable: sync every commit to disk; False only in simulations.
        allow_import: a study may name strategies outside the project; True only in simulations.
        deployment: of a real site.
        plugins: packages outside the project in which a study may name strategies.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    number: int = 0
    images: str = ""
    durable: bool = True
    allow_import: bool = False
    deployment: Deployment | None = None
    plugins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HomePaths:
    """Where everything lies in a real site's home. Only `keys` and the database are secret."""

    home: Path

    @property
    def config(self) -> Path:
        """`site.toml`."""
        return self.home / _CONFIG

    @property
    def database(self) -> Path:
        """`site.db`."""
        return self.home / _DATABASE

    @property
    def keys(self) -> Path:
        """Folder (0700): `node` and `node.pub` (EC P-384, OpenSSH, for Flower), `coordination.key`
        (EC P-256, PEM, for mutual TLS), `site.secret` (32 bytes, for case keys), `runtime.secret`.
        """
        return self.home / "keys"

    @property
    def request(self) -> Path:
        """`request.json`: what the server's admin signs; holds public keys only."""
        return self.home / "request.json"

    @property
    def kit(self) -> Path:
        """Folder: `kit.json`, and from it `server-ca.crt`, `site.crt`, `heads.pub` (PEM)."""
        return self.home / "kit"

    @property
    def run(self) -> Path:
        """Folder of what lives as long as the daemon: lock, status, beats, requests."""
        return self.home / "run"

    @property
    def logs(self) -> Path:
        """Folder of the children's logs."""
        return self.home / "logs"

    @property
    def flower(self) -> Path:
        """FLWR_HOME of the site's Flower processes."""
        return self.home / "flower"


def make_home(home: Path, config: HomeConfig) -> None:
    """Write a home's configuration; the folder is made if it is not there."""
    home.mkdir(parents=True, exist_ok=True)
    content = config.model_dump(exclude_none=True)
    replace_file(home / _CONFIG, tomli_w.dumps(content).encode(), sync=config.durable)


def read_config(home: Path) -> HomeConfig:
    """What the home's `site.toml` says.

    Raises:
        HomeError: it is missing, or does not fit.
    """
    try:
        document = tomllib.loads((home / _CONFIG).read_text(encoding="utf-8"))
        return HomeConfig.model_validate_json(json.dumps(document))  # TOML's lists become tuples
    except FileNotFoundError:
        raise HomeError(f"{home}: {_CONFIG} is missing") from None
    except (TypeError, ValueError):
        raise HomeError(f"{home}: {_CONFIG} cannot be read") from None


def open_home(home: Path) -> Site:
    """The site whose home this is, its database opened and its images mapped.

    Raises:
        HomeError: no configuration, or one that does not fit.
    """
    config = read_config(home)
    try:
        pixels = _mapped((home / config.images).resolve()) if config.images else _NO_IMAGES
    except FileNotFoundError:
        raise HomeError(f"{home}: the images that {_CONFIG} names are missing") from None
    except ValueError:
        raise HomeError(f"{home}: the images that {_CONFIG} names cannot be read") from None
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
