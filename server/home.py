"""The server's home: its configuration, where everything lies in it, and one folder per study."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path

import tomli_w
from pydantic import BaseModel, ConfigDict, Field

from protocol.files import replace_file

_CONFIG = "server.toml"


class HomeError(ValueError):
    """A home that cannot be opened, in one sentence."""


class HomeConfig(BaseModel):
    """What `server.toml` says.

    Attributes:
        address: host:port that sites dial; its host stands in the server's certificate.
        listen: address:port where nginx listens.
        superlink_port: loopback port of Flower's SuperLink.
        dashboard: address:port of the dashboard; beyond loopback only with TLS.
        heartbeat_seconds: of the coordination stream.
        asked_by: the study lead, as sites read it in a study's plan.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    address: str
    listen: str = "0.0.0.0:443"
    superlink_port: int = Field(8000, ge=1024, le=65535)
    dashboard: str = "127.0.0.1:8080"
    heartbeat_seconds: float = Field(20.0, gt=0)
    asked_by: str = Field("the study lead", min_length=1, max_length=120)


@dataclass(frozen=True, slots=True)
class ServerPaths:
    """Where everything lies in a server's home."""

    home: Path

    @property
    def config(self) -> Path:
        """`server.toml`."""
        return self.home / _CONFIG

    @property
    def registry(self) -> Path:
        """`registry.db`: what the server's processes share."""
        return self.home / "registry.db"

    @property
    def pki(self) -> Path:
        """Folder (0700). `server-ca.{crt,key}` signs `server.{crt,key}`, which nginx shows;
        `site-ca.{crt,key}` signs sites and nothing else, `site.crl` revokes them;
        `loop-ca.crt`, `loop.{crt,key}` are SuperLink's own on loopback (SAN localhost, 127.0.0.1);
        `heads.{key,pub}` (Ed25519) countersign audit heads; `superexec.secret`. All PEM.
        """
        return self.home / "pki"

    @property
    def studies(self) -> Path:
        """Folder of the studies' folders."""
        return self.home / "studies"

    @property
    def flower(self) -> Path:
        """Folder: `state.db` of the SuperLink, `home` (FLWR_HOME) of the operator's commands."""
        return self.home / "flower"

    @property
    def run(self) -> Path:
        """Folder of what lives as long as the daemon: lock, status, `coord.sock`, `nginx.conf`.

        Children start with the home as their folder and name the socket `run/coord.sock`: a full
        path may be longer than a socket's name may be.
        """
        return self.home / "run"

    @property
    def logs(self) -> Path:
        """Folder of the children's logs."""
        return self.home / "logs"


def make_home(home: Path, config: HomeConfig) -> None:
    """Write a home's configuration; the folder is made if it is not there."""
    home.mkdir(parents=True, exist_ok=True)
    replace_file(home / _CONFIG, tomli_w.dumps(config.model_dump()).encode(), sync=True)


def read_config(home: Path) -> HomeConfig:
    """What the home's `server.toml` says.

    Raises:
        HomeError: it is missing, or does not fit.
    """
    try:
        document = tomllib.loads((home / _CONFIG).read_text(encoding="utf-8"))
        return HomeConfig.model_validate_json(json.dumps(document))
    except FileNotFoundError:
        raise HomeError(f"{home}: {_CONFIG} is missing") from None
    except (TypeError, ValueError):
        raise HomeError(f"{home}: {_CONFIG} cannot be read") from None
