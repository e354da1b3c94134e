"""`wardround-site start` and `status`."""

from __future__ import annotations

import typer

from daemons.terminal import Format, Home, check_format, print_json

app = typer.Typer()


@app.command()
def start(home: Home) -> None:
    """Keep the site's services running, in the foreground, until SIGTERM or Ctrl-C."""
    import os

    from client.flower.services import prepare, services
    from client.home import read_config
    from client.joining import joined
    from client.paths import HomePaths
    from daemons.supervisor import supervise

    os.umask(0o077)
    home = home.resolve()
    read_config(home)
    joined(home)
    prepare(home)
    paths = HomePaths(home)
    supervise(services(home, read_config(home)), home, paths.run, paths.logs)


@app.command()
def status(home: Home, form: Format = "text") -> None:
    """The daemon's services, the ways to the server, studies and their labels, the audit log."""
    from client.paths import HomePaths
    from client.status import as_text, overview
    from daemons.status import read_status

    check_format(form)
    seen = overview(home)
    if form == "json":
        print_json(seen)
    else:
        print(as_text(seen, read_status(HomePaths(home).run).as_text()))
