"""The generated pages of docs/: the commands, the study file, the strategies, what leaves a site.

`python -m simulations.documenting` writes them; a test fails when they lag behind the code.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import typer

from client.cli import app as site
from client.leaving import fields_of, size
from protocol.clusters import NAME as CLUSTERED
from protocol.clusters import SiteClusters
from protocol.egress import Row, described
from protocol.secagg import MASKED
from protocol.study import load
from server.cli import app as server
from simulations.cli import app
from simulations.command import study_path
from simulations.strategy_pages import strategy_pages
from simulations.template import template

DOCS = Path(__file__).resolve().parent.parent / "docs"


def pages() -> dict[Path, str]:
    """Every generated page by its path."""
    return {
        DOCS / "cli.md": "\n".join(_commands()),
        DOCS / "study-file.md": _study_file(),
        **strategy_pages(DOCS),
        DOCS / "records.md": "\n".join(_records()),
    }


_COMMANDS = (
    ("wardround", app, "The study lead's: simulate, compare, report, freeze, rehearse."),
    (
        "wardround-site",
        site,
        "One hospital's. Every command but `demo` takes `--home`, or the variable "
        "`WARDROUND_HOME`.",
    ),
    (
        "wardround-server",
        server,
        "The coordinator's. Every command takes `--home`, or the variable `WARDROUND_HOME`.",
    ),
)


def _commands() -> Iterator[str]:
    yield "# The command line\n"
    yield (
        "Exit codes: 0 done, 1 failed, 2 bad input, 3 refused. `--format json` prints one document "
        'with `"format": 1`. Generated from the code.\n'
    )
    yield " · ".join(f"[`{name}`](#{name})" for name, _, _ in _COMMANDS) + "\n"
    for name, typed, words in _COMMANDS:
        root = typer.main.get_command(typed)
        assert isinstance(root, click.Group)  # noqa: S101 - an app with commands is one
        yield f"## {name}\n"
        yield f"{words}\n"
        yield from _help(root, name)


def _help(command: click.Command, name: str) -> Iterator[str]:
    if isinstance(command, click.Group):
        for inner in sorted(command.commands):
            yield from _help(command.commands[inner], f"{name} {inner}")
        return
    yield f"### `{name}`\n"
    yield f"{(command.help or '').strip()}\n"
    rows = [row for p in command.params if p.name not in ("help", "home") and (row := _row(p))]
    if rows:
        yield "| | default | |"
        yield "| --- | --- | --- |"
        yield from rows
        yield ""


def _row(parameter: click.Parameter) -> str:
    plain = parameter.default in (None, "", False)
    default = "" if plain else f"`{parameter.default}`"
    if parameter.required:
        default = "required"
    names = [str(parameter.name).upper()]
    if isinstance(parameter, click.Option):
        names = parameter.opts
    shown = ", ".join(f"`{name}`" for name in names)
    return f"| {shown} | {default} | {getattr(parameter, 'help', None) or ''} |"


def _study_file() -> str:
    return (
        "# The study file\n\n"
        "What `wardround study new` writes: every key, its default and what it means. Unknown "
        "keys, wrong types and impossible combinations are refused in one sentence.\n\n"
        f"```toml\n{template('my-study')}```\n"
    )


def _records() -> Iterator[str]:
    study = study_path("demo")
    yield "# What leaves a hospital\n"
    yield (
        "Every record and message that a site sends passes one gate, which lets through what this "
        "table names and nothing else: another field, type, shape or size is refused, and the "
        "refusal is a line in the audit log, as every passing is. "
        f"Sizes are for the study `{study.stem}` with a model of {_NUMBERS:,} numbers; "
        "`wardround-site plan` says them for the study at hand. Generated from the gate's own "
        "table (`protocol/egress_table.py`).\n"
    )
    yield (
        "**What bypasses the gate:** Flower's own heartbeats and the envelopes of its messages. "
        "They hold node and run ids, times and sizes, and nothing of a case. Whoever carries the "
        "bytes also sees when, and how many.\n"
    )
    rows = described(load(study, ()), _NUMBERS, site="north")
    for plane, title in (("model", "Over Flower"), ("coordination", "Beside it, over gRPC")):
        yield f"## {title}\n"
        for row in rows:
            if row.plane == plane:
                yield from _record(row)
    yield from _clustered(study)
    yield from _masked(study)


def _clustered(study: Path) -> Iterator[str]:
    """What a study adds that asks by the federation's clusters."""
    yield f"## With the strategy `{CLUSTERED}`\n"
    yield (
        "Each site tells once a cycle of clusters of its cases, and the server hands the "
        "federation's out. A cluster of fewer cases than the study's number stays, with its "
        "labels. Means are no proof of privacy: a study that is private or under secure "
        "aggregation may not have this strategy.\n"
    )
    also = described(load(study, [f"query.strategy={CLUSTERED}"]), _NUMBERS, site="north")
    yield from _record(next(row for row in also if row.record == SiteClusters.__name__))


def _masked(study: Path) -> Iterator[str]:
    """What a study with secure aggregation changes."""
    yield "## Under secure aggregation\n"
    yield (
        "With `aggregation.secure` the trained model passes the same gate and then goes under a "
        "mask: no `SiteUpdate` leaves bare, and a request for one is refused. In its place leave "
        "Flower's four messages of SecAgg+, a line of the audit log each. The server learns the "
        "sum of three sites' updates or more. This holds for a server that keeps to the protocol: "
        "Flower's clients take the other sites' keys from it, so that one that lies can make up "
        "the others and see a site's update alone. A site refuses what it can tell: a masking "
        "weaker than the study's, a sum of fewer than three, both halves of anybody's mask.\n"
    )
    secure = described(load(study, ["aggregation.secure=true"]), _NUMBERS, site="north")
    yield from _record(next(row for row in secure if row.record == MASKED))


_NUMBERS = 1_000_000
"""Of the model whose update the page measures."""


def _record(row: Row) -> Iterator[str]:
    yield f"### {row.title} (`{row.record}`)\n"
    yield f"{row.often[0].upper()}{row.often[1:]}, at most {size(row.largest)}.\n"
    if row.fields:
        yield "| field | what it may hold |"
        yield "| --- | --- |"
        yield from (f"| {name} | {words} |" for name, words in fields_of(row))
        yield ""


def main() -> None:
    """Write every page."""
    DOCS.mkdir(exist_ok=True)
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(DOCS.parent))


if __name__ == "__main__":
    main()
