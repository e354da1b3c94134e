"""`wardround-site audit`: whether the log is whole, the log as a file, what left this building."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daemons.terminal import Format, Home, Refused, check_format, check_place, print_json

if TYPE_CHECKING:
    from client.audit.heads import Signed
    from client.audit.verify import Verdict
    from client.home import HomeConfig
    from client.store.store import SiteStore

audit = typer.Typer(no_args_is_help=True)
app = typer.Typer()
app.add_typer(audit, name="audit", help="The log of every record that left, and of every refusal.")


@audit.command()
def verify(
    home: Home,
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask the server.")] = False,
    form: Format = "text",
) -> None:
    """Walk the chain, and hold it against what the server has countersigned; 1 if it is broken."""
    from client.audit.verify import sentence, verify

    check_format(form)
    with _opened(home) as (config, store):
        newest, why = (None, "the server was not asked") if offline else _newest(home, store)
        verdict = verify(store, config.name, _key(home), newest)
    told = sentence(verdict, asked=newest is not None, why=why)
    if form == "json":
        print_json(_plain(verdict, newest is not None, told))
    else:
        print("\n".join(told))
    if not verdict.whole:
        sys.exit(1)


@audit.command()
def export(
    home: Home,
    file: Annotated[Path, typer.Argument(help="JSON lines; the first says how to verify them.")],
    form: Format = "text",
) -> None:
    """Write the log, with the server's countersignatures, for somebody else to verify."""
    from client.audit.export import exported
    from protocol.files import replace_file

    check_format(form)
    check_place(file)
    with _opened(home) as (config, store):
        rows = list(exported(store, config.name, _key(home)))
    replace_file(file, "".join(f"{row}\n" for row in rows).encode(), sync=True)
    if form == "json":
        print_json({"format": 1, "file": str(file), "rows": len(rows) - 1})
    else:
        print(f"{file}: {len(rows) - 1} rows")


@audit.command()
def report(
    home: Home,
    out: Annotated[Path | None, typer.Option(help="A Markdown file; else printed.")] = None,
    form: Format = "text",
) -> None:
    """Say what left this building: per study and cycle, in plain words."""
    from client.audit.report import account, markdown, names_of
    from protocol.files import replace_file

    check_format(form)
    if out is not None:
        check_place(out)
    with _opened(home) as (config, store):
        page = markdown(account(store), config.name, names_of(store))
    if out is not None:
        replace_file(out, page.encode(), sync=True)
    if form == "json":
        print_json({"format": 1, "file": None if out is None else str(out), "text": page})
    else:
        print(page if out is None else f"{out}\n", end="")


@contextmanager
def _opened(home: Path) -> Iterator[tuple[HomeConfig, SiteStore]]:
    """The home's configuration and its database, which must be there already."""
    from client.home import open_store, read_config
    from client.paths import HomePaths

    config = read_config(home)
    if not HomePaths(home).database.exists():
        raise Refused(f"{home}: there is no database yet, so there is no log")
    store = open_store(home, durable=config.durable)
    try:
        yield config, store
    finally:
        store.close()


def _key(home: Path) -> bytes | None:
    """The server's key for heads, where the home has a kit."""
    from client.audit.heads import public_key
    from client.paths import HomePaths

    file = HomePaths(home).kit / "heads.pub"
    return public_key(file) if file.exists() else None


def _newest(home: Path, store: SiteStore) -> tuple[Signed | None, str]:
    """What the server says it has signed last, or why that is not known."""
    from client.audit.asking import NotAnswered, newest_head
    from client.home import HomeError, deployed, read_config
    from client.paths import HomePaths

    try:
        return newest_head(store, HomePaths(home), deployed(read_config(home))), ""
    except HomeError:
        return None, "this site has no server to ask"
    except NotAnswered as error:
        return None, f"the server was asked and did not answer: {error}"


def _plain(verdict: Verdict, asked: bool, told: Sequence[str]) -> dict[str, object]:
    return {
        "format": 1,
        "whole": verdict.whole,
        "lines": verdict.lines,
        "verified": verdict.verified,
        "broken": verdict.broken or None,
        "restored": verdict.restored,
        "server_asked": asked,
        "words": list(told),
    }
