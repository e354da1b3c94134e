"""`wardround-server password`: who may look at the dashboard."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from daemons.terminal import Format, Home, check_format, print_json

app = typer.Typer()


@app.command()
def password(
    home: Home,
    stdin: Annotated[
        bool, typer.Option("--stdin", help="Read it from standard input, for scripts.")
    ] = False,
    form: Format = "text",
) -> None:
    """Set the dashboard's password."""
    from server.dashboard.passwords import set_password
    from server.home import ServerPaths, read_config

    check_format(form)
    read_config(home)
    if not stdin and not sys.stdin.isatty():
        raise ValueError("nobody is there to be asked; accepted without a terminal is --stdin")
    text = (
        sys.stdin.readline().rstrip("\n")
        if stdin
        else str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    )
    set_password(ServerPaths(home).pki / "dashboard.json", text)
    if form == "json":
        print_json({"format": 1, "set": True})
    else:
        print("the password is set")
