"""The sources that `site.toml` names: resolved, and what is said of them without their names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from client.home import HomeConfig, SourceConfig
from client.sources.choosing import Wanted, is_address
from client.sources.dicom_rules import ALLOWANCES
from client.sources.labels import Labels
from client.sources.reach import Reach


def wanted_of(one: SourceConfig, reach: Reach, seen: Callable[[int], None]) -> Wanted:
    """What an import of this source is asked to do; `seen` is told how much was looked at.

    Raises:
        ValueError: an allowance or a class that cannot be.
    """
    words, labels = allowed(one.allow), labels_of(one.classes)
    return Wanted(one.where, one.kind, words, labels, seen, reach)


def of_site(config: HomeConfig, home: Path) -> list[SourceConfig]:
    """The sources of a site in the order of `site.toml`, their paths absolute."""
    return [
        one
        if is_address(one.where)
        else one.model_copy(update={"where": str((home / one.where).resolve())})
        for one in config.sources
    ]


def allowed(words: Sequence[str]) -> frozenset[str]:
    """What an import takes besides.

    Raises:
        ValueError: no such word.
    """
    if strange := sorted(set(words) - set(ALLOWANCES)):
        raise ValueError(f"--allow {strange[0]}: accepted are {', '.join(ALLOWANCES)}")
    return frozenset(words)


def labels_of(classes: str) -> Labels:
    """How labels are read by class names that are joined by commas, or by |.

    Raises:
        ValueError: a class twice.
    """
    several = "|" in classes
    names = [name.strip() for name in classes.split("|" if several else ",") if name.strip()]
    if len(set(names)) != len(names):
        raise ValueError("--classes names a class twice; accepted is each class once")
    return Labels(tuple(names), several)


def unnamed(error: Exception, where: str) -> str:
    """What an error says of a source without the name of its file."""
    return str(error).removeprefix(f"{Path(where).name}: ")
