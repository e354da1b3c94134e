"""The version of the code that decides a run's numbers: a hash, blind to words and layout."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from protocol.study import Study
from strategies.chosen import decisions

ROOT = Path(__file__).resolve().parents[3]

_ALWAYS = (
    "client.learning.train",
    "client.learning.score",
    "client.steps.report",
    "client.steps.select",
    "client.steps.train",
    "client.steps.evaluate",
    "client.queue",
    "server.course",
    "server.cycle",
    "server.sharing",
    "simulations.hospitals",
    "simulations.people",
    "simulations.benchmarks.labels.data",
)
"""Where every run's numbers come from; what they import of ours counts, too."""

_ROOMS = (
    "strategies",
    "client.asked",
    "client.cost",
    "client.learning",
    "client.queue",
    "client.scored_pool",
    "client.steps",
    "protocol.seeds",
    "server.merging",
    "server.reading",
    "server.settling",
    "server.training",
    "simulations.",
)
"""Imports that are followed. Tables of strategies are not: a run hangs on the rows it names. Nor
are records, stores and engines, which keep and carry what others have decided."""


def version(study: Study) -> str:
    """Hash (16 hex) of the code behind a study's numbers.

    Of its strategies, its training and its scoring, as syntax trees without docstrings: a comment
    changes nothing, and a strategy that the study does not name changes nothing.
    """
    chosen = decisions(study, allow_import=True)
    rows = (chosen.query, chosen.cold_start, chosen.policy, chosen.aggregator, chosen.consensus)
    names = {type(row).__module__ for row in rows} | set(_inner(rows))
    if study.privacy is not None:
        files = (ROOT / "client" / "privacy").glob("*.py")
        names |= {f"client.privacy.{file.stem}" for file in files}
    sha = hashlib.sha256()
    for module in sorted(closure([*names, *_ALWAYS])):
        sha.update(f"{module} {tree(_file(module))}\n".encode())
    return sha.hexdigest()[:16]


def attacking() -> str:
    """Hash (16 hex) of the code behind what attackers do, and behind what the server lets in."""
    folder = ROOT / "simulations" / "attacks"
    files = [*sorted(folder.glob("*.py")), ROOT / "server" / "training.py"]
    return hashlib.sha256("".join(map(tree, files)).encode()).hexdigest()[:16]


def _inner(rows: Iterable[object]) -> Iterator[str]:
    """Modules of strategies that a strategy names by its arguments."""
    from strategies.query import QUERY

    for row in rows:
        inner = getattr(row, "inner", None)
        if isinstance(inner, str):
            inner = QUERY.get(inner)
        elif inner is not None:  # a strategy that the study has weighted by cost
            yield from _inner([inner])
            inner = type(inner)
        if inner is not None:
            yield inner.__module__


def closure(modules: Iterable[str]) -> set[str]:
    """The modules and all of ours that they come to import."""
    found: set[str] = set()
    todo = list(modules)
    while todo:
        module = todo.pop()
        if module in found or not _file(module).is_file():
            continue
        found.add(module)
        todo += imports(_file(module))
    return found


@cache
def imports(file: Path) -> tuple[str, ...]:
    """The modules a file imports that are to be followed."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return tuple(sorted(n for n in names if n.startswith(_ROOMS)))


@cache
def tree(file: Path) -> str:
    """Hash of a file's syntax tree without docstrings."""
    parsed = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(parsed):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [n for n in body if not _is_text(n)]  # type: ignore[attr-defined]
    return hashlib.sha256(ast.dump(parsed).encode()).hexdigest()


def _is_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _file(module: str) -> Path:
    return ROOT / f"{module.replace('.', '/')}.py"
