"""`wardround-site preflight` and `systemd`."""

from __future__ import annotations

from typing import Annotated

import typer

from daemons.terminal import Format, Home, check_format, print_json

app = typer.Typer()


@app.command()
def preflight(home: Home, form: Format = "text") -> None:
    """Check machine, network and server before the daemon starts; 1 if something must be mended."""
    from client import preflight as checks
    from client.attendance.dial import forget_environment
    from daemons.preflight import as_json, as_text, exit_code

    check_format(form)
    forget_environment()  # the proxy of site.toml counts, as it does for the daemon
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
    """Print a systemd unit for this site's daemon: its own user, few rights."""
    from client.home import read_config
    from daemons.systemd import Unit

    check_format(form)
    description = f"wardround site {read_config(home).name}"
    unit = Unit("wardround-site", description, home.resolve(), user, devices=True)
    if form == "json":
        print_json({"format": 1, "file": unit.file, "text": unit.text()})
    else:
        print(unit.text(), end="")
