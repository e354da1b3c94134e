"""`wardround-server password`: who may look at the dashboard."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from daemons.terminal import Home

app = typer.Typer()


@app.command()
def password(
    home: Home,
    stdin: Annotated[
        bool, typer.Option("--stdin", help="Read it from standard input, for scripts.")
    ] = False,
) -> None:
    """Set the dashboard's password."""
    from server.dashboard.passwords import set_password
    from server.home import ServerPaths, read_config

    read_config(home)
    text = (
        sys.stdin.readline().rstrip("\n")
        if stdin
        else str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    )
    set_password(ServerPaths(home).pki / "dashboard.json", text)
    print("the password is set")
