"""Construct a strategy from a table by its name and the arguments a study file gives."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from importlib import import_module
from types import NoneType, UnionType
from typing import (
    Any,
    Literal,
    TypeAlias,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

T = TypeVar("T")

Imports: TypeAlias = bool | Collection[str]
"""What may be imported: everything (True, a simulation), nothing, or these packages alone."""

_KINDS = {
    "query": ("query strategy", ("needs", "select")),
    "budget": ("budget policy", ("allocate",)),
    "aggregation": ("aggregator", ("streaming", "proximal", "least_sites", "step")),
    "consensus": ("consensus", ("settle",)),
    "stopping": ("stopping rule", ("advise",)),
}
"""What the rows of a package of strategies are called, and what each of them has."""


def build(
    table: Mapping[str, Callable[..., T]],
    name: str,
    /,
    *,
    allow_import: Imports = False,
    **arguments: object,
) -> T:
    """Construct what the table has under that name.

    A name with a colon, such as "my_lab.ideas:Novelty", is imported, and its module's code runs:
    only for a simulation on one's own machine, and at a site from packages its admin has listed.

    Args:
        table: names to dataclasses, such as `QUERY`.
        name: a key of the table.
        allow_import: whether names with a colon are accepted, or of which packages.
        arguments: fields of the dataclass; lists are taken for tuples, as TOML writes them.

    Raises:
        ValueError: unknown name or argument, wrong type or value, in one sentence.
    """
    kind, members = _kind(table)
    if ":" in name:
        if not _listed(name.partition(":")[0], allow_import):
            raise ValueError(
                f"{kind} '{name}' would be imported, which only a simulation may; "
                f"accepted here: {', '.join([*sorted(table), *_packages(allow_import)])}"
            )
        row = cast("Callable[..., T]", _imported(kind, name, allow_import))
    elif name in table:
        row = table[name]
    else:
        raise ValueError(f"unknown {kind} '{name}'; known: {', '.join(sorted(table))}")
    built = row(**_checked(kind, name, row, arguments))
    if lacking := [member for member in members if not hasattr(built, member)]:
        raise ValueError(
            f"'{name}' is no {kind}: it has no {' and no '.join(lacking)}; "
            f"accepted is a class with {', '.join(members)}"
        )
    return built


def _kind(table: Mapping[str, Callable[..., object]]) -> tuple[str, tuple[str, ...]]:
    """What the table's rows are called and have, from the package they stand in."""
    for row in table.values():
        parts = getattr(row, "__module__", "").split(".")
        if parts[0] == "strategies" and len(parts) > 1 and parts[1] in _KINDS:
            return _KINDS[parts[1]]
    return "strategy", ()


def _listed(module: str, allow_import: Imports) -> bool:
    """Whether a module is one of the packages that may be imported, or lies in one."""
    if isinstance(allow_import, bool):
        return allow_import
    return any(module == p or module.startswith(f"{p}.") for p in allow_import)


def _packages(allow_import: Imports) -> list[str]:
    return [] if isinstance(allow_import, bool) else [f"{p}:Class" for p in sorted(allow_import)]


def _imported(kind: str, name: str, allow_import: Imports) -> Callable[..., object]:
    module, _, attribute = name.partition(":")
    try:
        row = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        own = isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}.")
        here = ", in this folder with PYTHONPATH=. before the command" if own else ""
        raise ValueError(
            f"{kind} '{name}' cannot be imported ({error}); accepted is module:Class{here}"
        ) from error
    if not is_dataclass(row) or not isinstance(row, type):
        raise ValueError(f"{kind} '{name}' is not a dataclass; accepted is a dataclass")
    if not _listed(row.__module__, allow_import):  # what a listed package itself imported
        raise ValueError(f"{kind} '{name}' is of another package; accepted is a class of its own")
    return row


def _checked(
    kind: str, name: str, row: Callable[..., object], arguments: Mapping[str, object]
) -> dict[str, object]:
    """The arguments as the dataclass takes them."""
    known: dict[str, Field[Any]] = {}
    hints: dict[str, Any] = {}
    if isinstance(row, type) and is_dataclass(row):
        known = {f.name: f for f in fields(row) if f.init}
        hints = get_type_hints(row)
    accepted = ", ".join(f"{n} ({_words(hints[n])})" for n in known) or "none"
    given: dict[str, object] = {}
    for argument, raw in arguments.items():
        if argument not in known:
            raise ValueError(f"{kind} '{name}' has no argument '{argument}'; accepted: {accepted}")
        value = _tuples(raw)
        if not _fits(value, hints[argument]):
            example = known[argument].metadata.get("example")
            raise ValueError(
                f"argument '{argument}' of {kind} '{name}' is {raw!r}; "
                f"accepted is {_words(hints[argument])}{f', such as {example}' if example else ''}"
            )
        given[argument] = value
    for argument, f in known.items():
        if argument not in given and f.default is MISSING and f.default_factory is MISSING:
            raise ValueError(
                f"{kind} '{name}' lacks its argument '{argument}'; "
                f"accepted is {_words(hints[argument])}"
            )
    return given


def _tuples(value: object) -> object:
    return tuple(_tuples(v) for v in value) if isinstance(value, list | tuple) else value


def _fits(value: object, hint: Any) -> bool:
    """Whether a value is of an annotated type.

    A whole number will do for a float; true and false are no numbers.
    """
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, h) for h in inner)
    if origin is Literal:
        return any(type(value) is type(v) and value == v for v in inner)
    if origin is tuple:
        return isinstance(value, tuple) and _each_fits(value, inner)
    if hint is float:
        return type(value) in (int, float) and math.isfinite(cast("float", value))
    if hint is int:
        return type(value) is int
    return isinstance(value, origin or hint)


def _each_fits(value: tuple[object, ...], inner: tuple[Any, ...]) -> bool:
    if len(inner) == 2 and inner[1] is Ellipsis:
        return all(_fits(v, inner[0]) for v in value)
    return len(value) == len(inner) and all(_fits(v, h) for v, h in zip(value, inner, strict=True))


def _words(hint: Any) -> str:
    """An annotated type as a study's author would say it."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return " or ".join(_words(h) for h in inner)
    if origin is Literal:
        return " or ".join(repr(v) for v in inner)
    if origin is tuple:
        if len(inner) == 2 and inner[1] is Ellipsis:
            return "a list of " + _words(inner[0])
        return f"[{', '.join(_words(h) for h in inner)}]"
    plain = {int: "a whole number", float: "a finite number", bool: "true or false"}
    plain |= {str: "text", NoneType: "nothing"}
    return plain.get(hint, getattr(hint, "__name__", str(hint)))
