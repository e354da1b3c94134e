"""The committed page's tables, of which some stay: those of which the results at hand know less.

A results file is of one machine, and may be gone; the page is of all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Key: TypeAlias = tuple[str, str, str]
"""A table's split, track and cell."""

NOTHING: Mapping[str, Any] = {"format": 3, "tables": [], "arms": [], "policies": []}
"""A summary of nothing."""

_RUNS = re.compile(r"\bWritten from (\d+) runs\b")
_SPLIT = re.compile(r"^## \w+: the (\w+) split$")
_TABLE = re.compile(r"^### Track (.+?), (\w+): ")
_LIST = re.compile(r"^## (.+)$")


@dataclass(frozen=True, slots=True)
class Committed:
    """What a page holds.

    Attributes:
        tables: the text of each, its heading first.
        lists: the lines of each list below the tables, by its heading.
    """

    tables: dict[Key, str] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)


def committed(text: str) -> Committed:
    """The tables and lists of a page; none of one that is empty."""
    found, split = Committed(), ""
    parts = re.split(r"^(?=##)", text, flags=re.M)
    for part in parts:
        first, _, rest = part.partition("\n")
        if matched := _SPLIT.match(first):
            split = matched[1]
        elif matched := _TABLE.match(first):
            found.tables[split, matched[1], matched[2]] = part.rstrip() + "\n"
        elif matched := _LIST.match(first):
            found.lists[matched[1]] = [line for line in rest.splitlines() if line[:2] == "* "]
    return found


def said(runs: int) -> str:
    """The words of a table by which `runs_of` knows what it was written from."""
    return f"Written from {runs} runs"


def runs_of(table: str) -> int:
    """The runs that a table says it was written from; 0 where it says nothing."""
    found = _RUNS.search(table)
    return int(found[1]) if found else 0


def kept(before: Mapping[Key, int], now: Mapping[Key, int]) -> set[Key]:
    """The tables that were written from more runs than there are now."""
    return {key for key, runs in before.items() if runs > now.get(key, 0)}


def joined(before: Mapping[str, list[str]], title: str, now: Iterator[str]) -> list[str]:
    """A list's lines of before and of now, each once, in the order of their dates."""
    return sorted({*before.get(title, ()), *now})
