"""The generated pages of docs/: the command line, the study file, the tables of strategies.

`python -m simulations.documenting` writes them; a test fails when they lag behind the code.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import click
import typer

from simulations.cli import app
from simulations.template import template
from strategies.aggregation import AGGREGATION
from strategies.budget import BUDGET
from strategies.consensus import CONSENSUS
from strategies.query import QUERY
from strategies.stopping import STOPPING

DOCS = Path(__file__).resolve().parent.parent / "docs"
_TABLES: tuple[tuple[str, str, Mapping[str, Callable[..., object]]], ...] = (
    ("Query strategies", "query.strategy", QUERY),
    ("Budget policies", "budget.policy", BUDGET),
    ("Aggregators", "aggregation.name", AGGREGATION),
    ("Consensus", "reading.consensus", CONSENSUS),
    ("Stopping rules", "stopping.rule", STOPPING),
)


def pages() -> dict[Path, str]:
    """Every generated page by its path."""
    return {
        DOCS / "cli.md": "\n".join(_commands()),
        DOCS / "study-file.md": _study_file(),
        DOCS / "strategies.md": "\n".join(_strategies()),
    }


def _commands() -> Iterator[str]:
    yield "# The command line\n"
    yield "Exit codes: 0 done, 1 failed, 2 bad input, 3 refused. Generated from the code.\n"
    root = typer.main.get_command(app)
    assert isinstance(root, click.Group)  # noqa: S101 - an app with commands is one
    yield from _help(root, "wardround")


def _help(command: click.Command, name: str) -> Iterator[str]:
    if isinstance(command, click.Group):
        for inner in sorted(command.commands):
            yield from _help(command.commands[inner], f"{name} {inner}")
        return
    yield f"## `{name}`\n"
    yield f"{(command.help or '').strip()}\n"
    yield "| | default | |"
    yield "| --- | --- | --- |"
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.name != "help":
            default = "" if parameter.default in (None, "") else f"`{parameter.default}`"
            yield f"| `{parameter.opts[0]}` | {default} | {parameter.help or ''} |"
        elif isinstance(parameter, click.Argument):
            default = "" if parameter.default is None else f"`{parameter.default}`"
            yield f"| `{str(parameter.name).upper()}` | {default} | {_text(parameter)} |"
    yield ""


def _text(parameter: click.Parameter) -> str:
    return str(getattr(parameter, "help", None) or "")


def _study_file() -> str:
    return (
        "# The study file\n\n"
        "What `wardround study new` writes: every key, its default and what it means. Unknown "
        "keys, wrong types and impossible combinations are refused in one sentence.\n\n"
        f"```toml\n{template('my-study')}```\n"
    )


def _strategies() -> Iterator[str]:
    yield "# Strategies and policies\n"
    yield "One row of a table each; add your own as one dataclass and one row.\n"
    for title, key, table in _TABLES:
        yield f"## {title} (`{key}`)\n"
        for name, row in sorted(table.items()):
            yield f"### `{name}`\n"
            yield f"{inspect.getdoc(row) or ''}\n"
            signature = str(inspect.signature(row)).split(" ->")[0]
            yield f"Arguments: `{signature}`\n" if signature != "()" else "No arguments.\n"


def main() -> None:
    """Write every page."""
    DOCS.mkdir(exist_ok=True)
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(DOCS.parent))


if __name__ == "__main__":
    main()
