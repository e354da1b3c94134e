"""`wardround-site preflight` and `systemd`."""

from __future__ import annotations

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
