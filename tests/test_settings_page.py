"""The settings in docs/operations.md are those of the code, with the code's defaults."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel

from client.home import Deployment
from client.home import HomeConfig as SiteConfig
from server.home import HomeConfig as ServerConfig

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "operations.md").read_text(encoding="utf-8")
NOT_BY_HAND = {"name", "number", "images", "durable", "allow_import", "server", "address"}
TOGETHER = {"room_certificate", "room_key", "room_names", "deployment"}


def rows(file: str) -> dict[str, str]:
    """Each setting's default, as the page writes both."""
    table = PAGE.partition(f"| `{file}` |")[2].partition("\n\n")[0]
    return dict(re.findall(r"^\| `([a-z_.]+)` \| `?([^`|]*?)`? \|", table, re.M))


@pytest.mark.parametrize(
    ("file", "models"),
    [("site.toml", (SiteConfig, Deployment)), ("server.toml", (ServerConfig,))],
)
def test_settings_and_defaults_are_those_of_the_code(
    file: str, models: tuple[type[BaseModel], ...]
) -> None:
    told = {name.rpartition(".")[2]: default for name, default in rows(file).items()}
    fields = {name: field for model in models for name, field in model.model_fields.items()}
    assert told.keys() == fields.keys() - NOT_BY_HAND - TOGETHER
    for name, default in told.items():
        value = [] if default == "none" else tomllib.loads(f"x = {default}")["x"]
        kept = fields[name].default
        assert (list(kept) if isinstance(kept, tuple) else kept) == value, name
