"""A new study file: every key with its default, under the words that describe it in the code."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from protocol.networks import NETWORKS, ResNet
from protocol.privacy import Privacy
from protocol.study import Study

_NAMES = {
    "query.strategy": "strategies.query:QUERY",
    "query.cold_start": "strategies.chosen:cold_names",
    "budget.policy": "strategies.budget:BUDGET",
    "reading.consensus": "strategies.consensus:CONSENSUS",
    "aggregation.name": "strategies.aggregation:AGGREGATION",
    "stopping.rule": "strategies.stopping:STOPPING",
}
_CLASSES = """
# In the order of the labels; in two classes the last is the positive one.
[[task.classes]]
name = "normal"
definition = "One line that the reader sees beside the image."

[[task.classes]]
name = "abnormal"
definition = "One line that the reader sees beside the image."
"""


def template(name: str) -> str:
    """A commented TOML document that `protocol.study` accepts."""
    lines = ["# A wardround study. Keys may be left out; what stands here is their default.", ""]
    lines += ["schema = 1", f"name = {json.dumps(name)}"]
    lines += _key("seed", Study.model_fields["seed"].description, 0)
    for section, field in Study.model_fields.items():
        if section == "network":
            lines += ["", *_network()]
        elif section == "privacy":
            lines += ["", *(_off(line) for line in _section(section, Privacy))]
        elif section not in ("schema_", "name", "seed"):
            lines += ["", *_section(section, field.annotation)]
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def _section(path: str, model: Any) -> Iterator[str]:
    """One table: its purpose, its keys, then the tables within it."""
    yield from _comment(model.__doc__ or "")
    yield f"[{path}]"
    inner: list[tuple[str, Any]] = []
    for key, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if isinstance(default, BaseModel):
            inner.append((f"{path}.{key}", type(default)))
        elif default is not PydanticUndefined:
            yield from _key(key, _described(f"{path}.{key}", field.description), default)
    if path == "task":
        yield from _CLASSES.splitlines()
    for name, section in inner:
        yield ""
        yield from _section(name, section)


def _network() -> Iterator[str]:
    yield from _comment(f"One of {', '.join(sorted(NETWORKS))}, each with keys of its own.")
    yield "[network]"
    for key, field in ResNet.model_fields.items():
        yield from _key(key, field.description, field.default)


def _off(line: str) -> str:
    """The line as a comment: a table that a study has only if it says so."""
    return f"# {line}" if line and not line.startswith("#") else line


def _key(key: str, description: str | None, default: Any) -> Iterator[str]:
    if description:
        yield from _comment(description)
    if default is None:
        yield f"# {key} = ..."
    else:
        yield f"{key} = {json.dumps(default)}"  # JSON's scalars, lists and {} are TOML's too


def _described(path: str, description: str | None) -> str:
    """The key's description; where it names a row of a table, those that it accepts."""
    if path not in _NAMES:
        return description or ""
    from importlib import import_module

    module, _, table = _NAMES[path].partition(":")
    rows = getattr(import_module(module), table)
    names = ", ".join(sorted(rows() if callable(rows) else rows))
    return f"{description}: {names}"


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(" ".join(text.split()), 94)]
