"""`wardround-server preflight` and `systemd`."""

from __future__ import annotations

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
