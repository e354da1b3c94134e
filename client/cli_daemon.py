"""`wardround-site start` and `status`."""

from __future__ import annotations

import typer

from daemons.terminal import Format, Home, check_format, print_json

app = typer.Typer()


@app.command()
def start(home: Home) -> None:
    """Keep the site's services running, in the foreground, until SIGTERM or Ctrl-C."""
    from client.daemon import become
    from client.home import deployed, read_config
    from client.joining import joined

    home = home.resolve()
    read_config(home)
    joined(home)
    deployment = deployed(read_config(home))
    print(f"{home}: starting; Ctrl-C stops it, `wardround-site status` says how it is", flush=True)
    become(home, deployment.runtime_port, deployment.silence_seconds)


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
