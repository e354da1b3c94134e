"""`wardround-server start` and `status`."""

from __future__ import annotations

import typer

from daemons.terminal import Format, Home, Refused, check_format, print_json

app = typer.Typer()


@app.command()
def start(home: Home) -> None:
    """Keep the server's services running, in the foreground, until SIGTERM or Ctrl-C."""
    import os

    from daemons.status import read_status
    from daemons.supervisor import supervise
    from server.flower.services import prepare, services
    from server.home import ServerPaths, read_config

    os.umask(0o077)
    home = home.resolve()
    config, paths = read_config(home), ServerPaths(home)
    if read_status(paths.run).state == "running":  # before anything that it reads is written anew
        raise Refused(f"{home}: a daemon runs on this home already")
    prepare(home, config)
    print(
        f"{home}: starting; Ctrl-C stops it, `wardround-server status` says how it is", flush=True
    )
    supervise(services(home, config), home, paths.run, paths.logs)


@app.command()
def status(home: Home, form: Format = "text") -> None:
    """The daemon's services, the sites, the studies, and alarms."""
    from server.overview import as_dict, as_text, overview

    check_format(form)
    seen = overview(home)
    if form == "json":
        print_json(as_dict(seen))
    else:
        print(as_text(seen))
