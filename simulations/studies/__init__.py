"""The committed study files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def committed() -> Mapping[str, Path]:
    """Every committed study file by its name."""
    return {path.stem: path for path in sorted(Path(__file__).parent.glob("*.toml"))}
