"""A site's home: its configuration. Light: no numpy, no database until one is opened."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from client.paths import HomePaths
from protocol.files import replace_file

if TYPE_CHECKING:
    from client.store.store import SiteStore

__all__ = [
    "Deployment",
    "HomeConfig",
    "HomeError",
    "HomePaths",
    "SourceConfig",
    "deployed",
    "make_home",
    "open_store",
    "read_config",
]


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
        room: host:port of the reading room; beyond loopback only with a certificate.
        room_certificate: PEM file of it, by path relative to the home; "" for plain HTTP.
        room_key: PEM file of its key.
        room_names: names by which browsers call the room, besides the host's own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    server: str = ""
    proxy: str = ""
    runtime_port: int = Field(9091, ge=1024, le=65535)
    least_patients: int = Field(16, ge=1)
    progress_seconds: float = Field(60.0, gt=0)
    silence_seconds: float = Field(180.0, gt=0)
    room: str = Field("127.0.0.1:8443", pattern=r"^[^:/\s]+:\d{1,5}$|^\[[0-9a-fA-F:.]+\]:\d{1,5}$")
    room_certificate: str = ""
    room_key: str = ""
    room_names: tuple[str, ...] = ()


class SourceConfig(BaseModel):
    """A place that cases come from, as `[[sources]]` in `site.toml` says it.

    Attributes:
        where: a folder or file, by path relative to the home, or an archive's https:// address.
        kind: as for `wardround-site import`; "" to find out.
        allow: words of `dicom_rules.ALLOWANCES`.
        classes: names in label order, by commas, or by | where a case may have several.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    where: str = Field(min_length=1)
    kind: str = ""
    allow: tuple[str, ...] = ()
    classes: str = ""


class HomeConfig(BaseModel):
    """What `site.toml` says.

    Attributes:
        name: of the site, unique in the federation.
        number: its place in site order, as the kit says.
        images: a .npy file of (n, channels, height, width) uint8, by path relative to the home;
            "" where cases are imported from the hospital's own sources.
        cache_gib: disk that pixels of imported cases may take, GiB.
        durable: sync every commit to disk; False only in simulations.
        allow_import: a study may name strategies outside the project; True only in simulations.
        deployment: of a real site.
        plugins: packages outside the project in which a study may name strategies.
        sources: what `wardround-site import` takes where it is named none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    number: int = 0
    images: str = ""
    cache_gib: float = Field(20.0, gt=0)
    durable: bool = True
    allow_import: bool = False
    deployment: Deployment | None = None
    plugins: tuple[str, ...] = ()
    sources: tuple[SourceConfig, ...] = ()


def make_home(home: Path, config: HomeConfig) -> None:
    """Write a home's configuration; the folder is made if it is not there."""
    home.mkdir(parents=True, exist_ok=True)
    content = config.model_dump(exclude_none=True)
    if not config.sources:
        del content["sources"]  # [[sources]] could not be added below an empty list
    replace_file(HomePaths(home).config, tomli_w.dumps(content).encode(), sync=config.durable)


def read_config(home: Path) -> HomeConfig:
    """What the home's `site.toml` says.

    Raises:
        HomeError: it is missing, or does not fit.
    """
    try:
        document = tomllib.loads((HomePaths(home).config).read_text(encoding="utf-8"))
        return HomeConfig.model_validate_json(json.dumps(document))  # TOML's lists become tuples
    except (FileNotFoundError, NotADirectoryError):
        raise HomeError(
            f"{home}: site.toml is missing; accepted is a site's home, which "
            "`wardround-site init` makes"
        ) from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise HomeError(f"{home}: site.toml cannot be read ({where}: {first['msg']})") from None
    except (TypeError, ValueError):
        raise HomeError(f"{home}: site.toml cannot be read (no TOML)") from None


def deployed(config: HomeConfig) -> Deployment:
    """The federation that a site has joined.

    Raises:
        HomeError: none yet.
    """
    if config.deployment is None or not config.deployment.server:
        raise HomeError("this site has joined no federation; wardround-site join KIT comes first")
    return config.deployment


def open_store(home: Path, *, durable: bool = True) -> SiteStore:
    """A home's database alone: what readers need, without images or torch."""
    from client.store.store import SiteStore  # numpy comes with it

    return SiteStore.open(HomePaths(home).database, durable=durable)
