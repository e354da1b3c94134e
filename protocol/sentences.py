"""One sentence for every refusal of a study file: the key, the value, what is accepted."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

_WORDS = {int: "a whole number", float: "a finite number", bool: "true or false"}
_PORTABLE = "a table of texts, finite numbers, true, false, and lists and tables of these"
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


class Refused(ValueError):
    """A combination that a study file may not hold, already in one sentence."""


def refuse(key: str, value: object, accepted: str) -> Refused:
    """The error of one sentence that names the key, the value and what is accepted."""
    return Refused(f"{key} = {plain(value)}: accepted is {accepted}")


def sentence(root: type[BaseModel], error: ErrorDetails) -> str:
    """One sentence from pydantic's account of one error in a document of that model."""
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, Refused):
        return str(cause)
    loc = error["loc"]
    if error["type"] == "extra_forbidden":
        path, table = _find(root, loc[:-1])
        key = ".".join([*path, str(loc[-1])])
        known = ", ".join(_keys(_open(table)[0]))
        return f"{key} = {plain(error['input'])} is not a key of a study file; known here: {known}"
    path, kind = _find(root, loc)
    key = ".".join(path)
    if error["type"] == "missing" and isinstance(loc[-1], str):
        return f"{key} is missing from the study file: accepted is {accepted(kind)}"
    value = error["input"]
    if error["type"] == "missing":  # a list too short for its pydantic tuple
        path, kind = _find(root, loc[:-1])
        key = ".".join(path)
    if error["type"].startswith("union_tag") and isinstance(value, Mapping):
        key, value, kind = f"{key}.name", value.get("name"), Literal[_names(kind)]
    return f"{key} = {plain(value)}: accepted is {accepted(kind)}"


def accepted(kind: Any) -> str:
    """What a field or a type takes, in words: "a whole number from 1 to 9"."""
    kind, metadata, description = _open(kind)
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return _either(kind)
    if origin is Literal:
        words = [plain(v) for v in get_args(kind)]
        return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
    if origin is tuple:
        return _list(get_args(kind), metadata)
    if origin is dict and get_args(kind)[1] is not Any:
        return f"a table of any length, each {accepted(get_args(kind)[1])}"
    if _is_model(kind):
        return f"a table with the keys {', '.join(_keys(kind))}"
    if kind is str:
        return _text(metadata, description)
    return (_WORDS.get(kind, _PORTABLE) + _bounds(metadata)).replace(
        "finite number from", "number from"
    )


def plain(value: object) -> str:
    """A value as it stands in a TOML file, shortened."""
    text = _plain(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(str(k))} = {_plain(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_plain, value)) + "]"
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    return "nothing" if value is None else repr(value)


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else repr(key)


def _find(root: Any, loc: Sequence[int | str]) -> tuple[list[str], Any]:
    """The key that a location names, less pydantic's words for branches of unions; what it takes.

    Where the value may be a number or a list, the key of the whole value.
    """
    kind: Any = root
    path: list[str] = []
    for part in loc:
        opened, _, _ = _open(kind)
        branches = [k for k in get_args(opened) if k is not NoneType]
        if get_origin(opened) in (Union, UnionType):
            if not all(_is_model(k) for k in branches):
                break
            kind = next(k for k in branches if part in _names(k))
            continue
        path.append(str(part))
        kind = _step(opened, part)
    return path, kind


def _step(kind: Any, part: int | str) -> Any:
    """What a table takes under a key, or a list at a place."""
    if _is_model(kind):
        for name, field in kind.model_fields.items():
            if part in (name, field.alias):
                return field
        return Any
    arguments = get_args(kind)
    if get_origin(kind) is dict:
        return arguments[1]
    return arguments[0] if arguments else Any


def _open(kind: Any) -> tuple[Any, Sequence[Any], str]:
    """A field or an annotated type: its bare type, its constraints, its description.

    What need not be there is opened as what it is where it is there.
    """
    if isinstance(kind, FieldInfo):
        inner, more, _ = _open(kind.annotation)
        return inner, [*kind.metadata, *more], kind.description or ""
    if get_origin(kind) is Annotated:
        inner, *notes = get_args(kind)
        inner, more, _ = _open(inner)
        return inner, [*(m for n in notes for m in getattr(n, "metadata", [n])), *more], ""
    branches = [k for k in get_args(kind) if k is not NoneType]
    if get_origin(kind) in (Union, UnionType) and len(branches) == 1:
        return _open(branches[0])
    return kind, [], ""


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _keys(model: type[BaseModel]) -> list[str]:
    return sorted(field.alias or name for name, field in model.model_fields.items())


def _names(kind: Any) -> tuple[str, ...]:
    """The values of `name` that tell the tables of a union apart."""
    kind, _, _ = _open(kind)
    tables = [kind] if _is_model(kind) else get_args(kind)
    return tuple(sorted(n for t in tables for n in get_args(t.model_fields["name"].annotation)))


def _either(union: Any) -> str:
    branches = [k for k in get_args(union) if k is not NoneType]
    if all(_is_model(k) for k in branches):
        return f"a table whose name is {accepted(Literal[_names(union)])}"
    return ", or ".join(accepted(k) for k in branches)


def _limit(metadata: Sequence[Any], name: str) -> Any:
    return next((v for m in metadata if (v := getattr(m, name, None)) is not None), None)


def _bounds(metadata: Sequence[Any]) -> str:
    least, above = _limit(metadata, "ge"), _limit(metadata, "gt")
    most, below = _limit(metadata, "le"), _limit(metadata, "lt")
    step = _limit(metadata, "multiple_of")
    words = [f"divisible by {step}"] if step is not None else []
    if least is not None and most is not None:
        return f" from {least} to {most}"
    words += [f"of at least {least}"] if least is not None else []
    words += [f"above {above}"] if above is not None else []
    words += [f"of at most {most}"] if most is not None else []
    words += [f"below {below}"] if below is not None else []
    return " " + " and ".join(words) if words else ""


def _text(metadata: Sequence[Any], description: str) -> str:
    if _limit(metadata, "pattern") is not None:
        return description
    least, most = _limit(metadata, "min_length"), _limit(metadata, "max_length")
    if most is not None:
        return f"text of {least or 0} to {most} characters"
    return "text that is not empty" if least else "text"


def _list(items: Sequence[Any], metadata: Sequence[Any]) -> str:
    item = accepted(items[0])
    if items[-1] is not Ellipsis:
        return f"a list of {len(items)}, each {item}"
    least, most = _limit(metadata, "min_length"), _limit(metadata, "max_length")
    if most is None:
        return f"a list of {'one or more' if least else 'any length'}, each {item}"
    return f"a list of {least if least == most else f'{least} to {most}'}, each {item}"
