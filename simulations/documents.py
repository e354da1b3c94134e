"""The JSON files in a simulation's folder: read as this version writes them, or refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

_T = TypeVar("_T")

SCHEMA = 1
"""Of `plan.json`, `simulation.json` and `run.json`."""


class NotARun(ValueError):
    """A folder that does not hold what a simulation leaves, in one sentence."""


def read(path: Path) -> dict[str, Any]:
    """What one of these files holds, its schema known.

    Raises:
        NotARun: it cannot be read, is no JSON object, or another version wrote it.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:  # its own words name the path again
        raise NotARun(f"{path} cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise NotARun(f"{path} cannot be read ({error})") from None
    if not isinstance(content, dict):
        raise NotARun(f"{path} holds no JSON object")
    schema = content.get("schema")
    if type(schema) is not int or schema != SCHEMA:
        raise NotARun(f"{path} has schema = {schema!r}: accepted is {SCHEMA}")
    return content


def typed(kind: TypeAdapter[_T], content: Mapping[str, Any], path: Path) -> _T:
    """A record out of what a file holds.

    Raises:
        NotARun: the first thing that is wrong with it.
    """
    try:
        return kind.validate_python(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise NotARun(f"{path}: {where}: {message[0].lower()}{message[1:]}") from None


@dataclass(frozen=True, slots=True)
class Begun:
    """What a run's own account says from its beginning on: `run.json`."""

    arm: str
    seed: int
    finished: bool


def begun(folder: Path) -> Begun:
    """Which run stands in a folder.

    Raises:
        NotARun: there is none, or its account is damaged or another version's.
    """
    path = folder / "run.json"
    return typed(TypeAdapter(Begun), read(path), path)
