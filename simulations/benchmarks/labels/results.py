"""The results file: one JSON line for each run, failed run and confirmation; it only grows."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

Line: TypeAlias = Mapping[str, Any]

Name: TypeAlias = tuple[str, str, str]
"""A run's key, arm and cell ("" in a benchmark without cells): `coreset` and `coreset@uniform`
share a key, and so do two cells that change nothing of the recipe."""

KEPT = ("auroc", "log_loss", "balanced_accuracy")
"""Metrics that a line keeps of every evaluation."""


@dataclass(frozen=True, slots=True)
class Results:
    """Lines of one file; several programs may add to it at once.

    Attributes:
        path: of the file, which need not be there yet.
    """

    path: Path

    def add(self, line: Line) -> None:
        """Append a line, whole."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(json.dumps(line, sort_keys=True) + "\n")

    def lines(self) -> Iterator[dict[str, Any]]:
        """Every line; one that a kill cut short is left out."""
        if not self.path.exists():
            return
        for text in self.path.read_text(encoding="utf-8").splitlines():
            try:
                yield json.loads(text)
            except ValueError:
                continue

    def keys(self) -> set[Name]:
        """What the finished runs are known by."""
        return {_name(line) for line in self.runs()}

    def runs(self) -> list[dict[str, Any]]:
        """The finished runs, oldest first; of those known by the same the last."""
        finished = (line for line in self.lines() if line["kind"] == "run")
        return list({_name(line): line for line in finished}.values())

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Every line of a kind."""
        return [line for line in self.lines() if line["kind"] == kind]


def _name(line: Line) -> Name:
    return line["key"], line["arm"], line.get("cell", "")


def trimmed(cycle: Mapping[str, Any]) -> dict[str, Any]:
    """A line of `cycles.jsonl` with no metrics but those in `KEPT`, and no training losses.

    What newer records tell beside those is left away, so that lines of any age can be compared.
    """
    metrics = {name: _trimmed(part) for name, part in cycle["metrics"].items()}
    return {**cycle, "metrics": metrics, "loss": []}


def _trimmed(part: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if part is None:
        return None
    counts = {name: part[name] for name in ("cases", "patients", "clustered", "unsettled")}
    scopes = {name: _kept(part[name]) for name in ("pooled", "macro", "worst")}
    return {**counts, **scopes, "sites": {s: _kept(m) for s, m in part["sites"].items()}}


def _kept(metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {name: metrics[name] for name in KEPT if name in metrics}
