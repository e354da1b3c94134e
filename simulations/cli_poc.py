"""`wardround poc`: a whole federation of real processes on this machine."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from daemons.terminal import Format, check_format, print_json

_PATIENCE = {False: 1800.0, True: 14 * 86400.0}
"""Seconds for a study to end, with simulated readers and with people."""


def poc(
    sites: Annotated[int, typer.Option("-n", "--sites", min=2, max=16, help="Hospitals.")] = 3,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of all homes and logs; kept. Without it one that is removed."),
    ] = None,
    study: Annotated[
        str, typer.Option(help="A study file, or the name of a committed one.")
    ] = "poc",
    source: Annotated[
        list[str] | None,
        typer.Option(help="SITE=PATH: what a site imports, else phantoms; may be repeated."),
    ] = None,
    readers: Annotated[
        str, typer.Option(help="simulated, or people: in the reading rooms of the sites.")
    ] = "simulated",
    patience: Annotated[
        float | None,
        typer.Option(
            min=1, help="Seconds for the study to end. Else 1800, and a fortnight for people."
        ),
    ] = None,
    form: Format = "text",
) -> None:
    """Start a server and its sites for real, run a study to its end, verify, and stop.

    Simulated readers answer through the database that people use; people sign in at addresses and
    with passwords that are printed. The study `reading` is for any images. The same command on the
    same folder goes on with a federation that was cut short.
    """
    check_format(form)
    signal.signal(signal.SIGTERM, _stop)
    from simulations.command import study_path
    from simulations.poc.crew import crew
    from simulations.poc.layout import Layout, site_names
    from simulations.poc.poc import folder, run
    from simulations.poc.words import document, lines, per_site

    file = study_path(study)
    with folder(out) as place:
        layout = Layout(place, site_names(sites))
        overrides, who = per_site(file, sites), crew(readers, source or [], layout.names)
        ended = run(layout, file, overrides, patience or _PATIENCE[who.people], _say(form), who)
    if form == "json":
        print_json(document(ended))
    else:
        print("\n".join(lines(ended)))
    if ended.state != "ended":
        raise typer.Exit(1)


def _stop(number: int, frame: object) -> None:
    """As Ctrl-C: the daemons stop with the command."""
    raise KeyboardInterrupt


def _say(form: str) -> Callable[[str], None]:
    """Tell a person on standard output; beside a JSON document nobody is told but of people."""
    return partial(print, flush=True, file=sys.stdout if form == "text" else sys.stderr)
