"""`wardround-server preflight` and `systemd`."""

from __future__ import annotations

from typing import Annotated

import typer

from daemons.terminal import Format, Home, check_format, print_json

app = typer.Typer()


@app.command()
def preflight(home: Home, form: Format = "text") -> None:
    """Check machine, certificates, ports and nginx; 1 if something must be mended."""
    from daemons.preflight import as_json, as_text, exit_code
    from server import preflight as checks

    check_format(form)
    made = checks.preflight(home)
    if form == "json":
        print_json(as_json(made))
    else:
        print(as_text(made))
    raise typer.Exit(exit_code(made))


@app.command()
def systemd(
    home: Home,
    user: Annotated[str, typer.Option(help="System user that runs the daemon.")] = "wardround",
    form: Format = "text",
) -> None:
    """Print a systemd unit for this server's daemon: its own user, few rights."""
    from daemons.joining import split_address
    from daemons.systemd import Unit
    from server.home import read_config

    check_format(form)
    _, port = split_address(read_config(home).listen)
    unit = Unit("wardround-server", "wardround server", home.resolve(), user, low_port=port < 1024)
    if form == "json":
        print_json({"format": 1, "file": unit.file, "text": unit.text()})
    else:
        print(unit.text(), end="")
