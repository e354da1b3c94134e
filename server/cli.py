"""`wardround-server`: the coordinator's daemon, its sites and its studies.

Everything heavy is imported inside the commands, so that --help and status answer at once.
"""

from __future__ import annotations

import typer

from daemons.terminal import run_command
from server import (
    cli_alarms,
    cli_daemon,
    cli_dashboard,
    cli_home,
    cli_preflight,
    cli_sites,
    cli_studies,
)

app = typer.Typer(
    name="wardround-server",
    help="The coordinator: sites join it, studies run on it; it sees no image.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(cli_home.app)
app.add_typer(cli_daemon.app)
app.add_typer(cli_alarms.app)
app.add_typer(cli_dashboard.app)
app.add_typer(cli_studies.app)
app.add_typer(cli_sites.app, name="sites")
app.add_typer(cli_preflight.app)


def main() -> None:
    """The command `wardround-server`."""
    run_command(app, "wardround-server")
