"""The server's home: its configuration."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import tomli_w
from pydantic import BaseModel, ConfigDict, Field

from protocol.files import replace_file
from server.paths import HomeError, ServerPaths, check_home

__all__ = ["HomeConfig", "HomeError", "ServerPaths", "make_home", "read_config"]


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


def make_home(home: Path, config: HomeConfig) -> None:
    """Write a home's configuration; the folder is made if it is not there."""
    home.mkdir(parents=True, exist_ok=True)
    replace_file(ServerPaths(home).config, tomli_w.dumps(config.model_dump()).encode(), sync=True)


def read_config(home: Path) -> HomeConfig:
    """What the home's `server.toml` says.

    Raises:
        HomeError: it is missing, or does not fit.
    """
    check_home(home)
    try:
        document = tomllib.loads(ServerPaths(home).config.read_text(encoding="utf-8"))
        return HomeConfig.model_validate_json(json.dumps(document))
    except (TypeError, ValueError):
        raise HomeError(f"{home}: server.toml cannot be read") from None
