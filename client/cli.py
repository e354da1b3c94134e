"""`wardround-site`: one hospital's daemon, its approvals and its audit log.

Everything heavy is imported inside the commands, so that --help and status answer at once.
"""

from __future__ import annotations

import typer

from client import (
    cli_agreement,
    cli_audit,
    cli_daemon,
    cli_demo,
    cli_exports,
    cli_import,
    cli_join,
    cli_practice,
    cli_preflight,
    cli_privacy,
    cli_readers,
    cli_studies,
)
from daemons.terminal import run_command

app = typer.Typer(
    name="wardround-site",
    help="One hospital: nothing runs here without its admin's approval, and no image leaves.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(cli_join.app)
app.add_typer(cli_import.app)
app.add_typer(cli_daemon.app)
app.add_typer(cli_studies.app)
app.add_typer(cli_readers.app, name="readers")
app.add_typer(cli_practice.app, name="practice")
app.add_typer(cli_agreement.app)
app.add_typer(cli_preflight.app)
app.add_typer(cli_audit.app)
app.add_typer(cli_privacy.app)
app.add_typer(cli_exports.app)
app.add_typer(cli_demo.app)


def main() -> None:
    """The command `wardround-site`."""
    run_command(app, "wardround-site")
