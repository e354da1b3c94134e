"""`wardround poc`: a whole federation of real processes on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from daemons.terminal import Format, check_format, print_json


def poc(
    sites: Annotated[int, typer.Option("-n", "--sites", min=2, max=16, help="Hospitals.")] = 3,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of all homes and logs; kept. Without it one that is removed."),
    ] = None,
    study: Annotated[
        str, typer.Option(help="A study file, or the name of a committed one.")
    ] = "poc",
    patience: Annotated[float, typer.Option(help="Seconds for the study to end.")] = 1800.0,
    form: Format = "text",
) -> None:
    """Start a server and its sites for real, run a study to its end, verify, and stop.

    Simulated readers answer through the database that people use. The same command on the same
    folder goes on with a federation that was cut short.
    """
    check_format(form)
    from simulations.command import study_path
    from simulations.poc.layout import Layout, site_names
    from simulations.poc.poc import folder, run
    from simulations.poc.words import document, lines, per_site

    file = study_path(study)
    with folder(out) as place:
        layout = Layout(place, site_names(sites))
        overrides = per_site(file, sites)
        ended = run(layout, file, overrides, patience, print if form == "text" else lambda _: None)
    if form == "json":
        print_json(document(ended))
    else:
        print("\n".join(lines(ended)))
    if ended.state != "ended":
        raise typer.Exit(1)
