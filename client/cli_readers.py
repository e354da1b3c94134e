"""`wardround-site readers`: who may sign in to the reading room."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daemons.terminal import Format, Home, check_format, print_json

if TYPE_CHECKING:
    from client.store.store import SiteStore

app = typer.Typer(help="Accounts of the reading room.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="As their readings will say: a to z, 0 to 9, . and -.")]


@app.command()
def add(
    name: Name,
    home: Home,
    role: Annotated[str, typer.Option(help="reader, adjudicator, admin or auditor.")] = "reader",
    form: Format = "text",
) -> None:
    """Let somebody sign in; the password is asked for, or is the first line of the input."""
    from client import accounts

    check_format(form)
    accounts.check(name, role)
    with _store(home) as store:
        accounts.check_free(store, name)
        accounts.add(store, name, role, _password())
    _tell({"name": name, "role": role}, f"{name} may sign in as {role}", form)


@app.command()
def remove(name: Name, home: Home, form: Format = "text") -> None:
    """Let somebody sign in no more, from their next click on; their readings stay."""
    from client import accounts

    check_format(form)
    with _store(home) as store:
        accounts.remove(store, name)
    _tell({"removed": name}, f"{name} may sign in no more", form)


@app.command()
def password(name: Name, home: Home, form: Format = "text") -> None:
    """Set a new password; sessions with the old one end."""
    from client import accounts

    check_format(form)
    with _store(home) as store:
        accounts.known(store, name)
        accounts.set_password(store, name, _password())
    _tell({"name": name}, f"{name} has a new password", form)


@app.command("list")
def list_accounts(home: Home, form: Format = "text") -> None:
    """List the accounts."""
    check_format(form)
    with _store(home) as store:
        rows = [(a.name, a.role, a.added) for a in store.readers.every()]
    if form == "json":
        told = [{"name": n, "role": r, "added": a} for n, r, a in rows]
        print_json({"format": 1, "readers": told})
        return
    for name, role, added in rows:
        print(f"{name:<24}  {role:<11}  since {added[:10]}")
    if not rows:
        print("nobody may sign in; wardround-site readers add NAME lets somebody")


@contextmanager
def _store(home: Path) -> Iterator[SiteStore]:
    from client.home import open_store, read_config

    store = open_store(home, durable=read_config(home).durable)
    try:
        yield store
    finally:
        store.close()


def _password() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")


def _tell(content: dict[str, str], sentence: str, form: str) -> None:
    if form == "json":
        print_json({"format": 1, **content})
    else:
        print(sentence)
