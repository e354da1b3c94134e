"""The versions that a site says it runs, without importing what they are of."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version

_TOLD = ("wardround", "flwr", "torch", "monai", "numpy")


@cache
def versions() -> Mapping[str, str]:
    """Installed versions by distribution; a missing one is left out."""
    found: dict[str, str] = {}
    for name in _TOLD:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
