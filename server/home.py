"""The server's home: the folder with a frozen study, its first weights, its ledger and models."""

from __future__ import annotations

import tomllib
from pathlib import Path

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from protocol.codec import CodecError, unpack
from protocol.records import GlobalState
from protocol.study import load
from server.assignment import Assignment
from server.rooms import PolledRooms

_CONFIG = "server.toml"


class HomeError(ValueError):
    """A home that cannot be opened, in one sentence."""


class HomeConfig(BaseModel):
    """What `server.toml` says.

    Attributes:
        sites: how many take part.
        study: the study file, by path relative to the home.
        weights: its frozen first weights, as `wardround study freeze` writes them.
        interval: seconds between two looks at how far the readers are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    sites: int = Field(ge=1)
    study: str = "study.toml"
    weights: str = "weights.safetensors"
    interval: float = Field(60.0, gt=0)


def make_home(home: Path, config: HomeConfig) -> None:
    """Write a home's configuration; the folder is made if it is not there."""
    home.mkdir(parents=True, exist_ok=True)
    (home / _CONFIG).write_text(tomli_w.dumps(config.model_dump()), encoding="utf-8")


def open_home(home: Path) -> Assignment:
    """What the ServerApp is to do in this home.

    Raises:
        HomeError: no configuration or weights, or ones that do not fit.
        StudyError: a study file that is refused.
    """
    try:
        document = tomllib.loads((home / _CONFIG).read_text(encoding="utf-8"))
        config = HomeConfig.model_validate(document)
        weights = unpack(GlobalState, (home / config.weights).read_bytes()).arrays
    except OSError as error:
        raise HomeError(f"{home}: {Path(str(error.filename)).name} cannot be read") from None
    except (tomllib.TOMLDecodeError, ValidationError, CodecError):
        raise HomeError(f"{home}: {_CONFIG} or the weights it names do not fit") from None
    return Assignment(
        study=load(home / config.study),
        weights=weights,
        home=home,
        sites=config.sites,
        rooms=PolledRooms(config.interval),
    )
