"""`wardround-server submit`, `pause`, `resume`, `stop` and `export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from daemons.terminal import Format, Home, check_format, print_json

app = typer.Typer()

Asked = Annotated[str, typer.Argument(help="Name, or the beginning of the identity.")]


@app.command()
def submit(
    folder: Annotated[Path, typer.Argument(help="What `wardround study freeze` wrote.")],
    home: Home,
    sites: Annotated[
        str, typer.Option(help="Names, separated by commas; every active site without.")
    ] = "",
    settle: Annotated[
        float,
        typer.Option(
            min=0, help="Hours after the last cycle for absent sites to give back what is unspent."
        ),
    ] = 1.0,
    form: Format = "text",
) -> None:
    """Take a frozen study in and offer it to its sites; it begins once enough have approved."""
    from contextlib import closing

    from server import submitting
    from server.home import ServerPaths, read_config
    from server.registry.registry import Registry

    check_format(form)
    home = home.resolve()
    config, paths = read_config(home), ServerPaths(home)
    frozen = submitting.read_frozen(folder)
    asked = [name.strip() for name in sites.split(",") if name.strip()]
    with closing(Registry.open(paths.registry)) as registry:
        row = submitting.submit(paths, config, registry, frozen, asked, settle * 3600)
    if form == "json":
        print_json(
            {
                "format": 1,
                "identity": row.identity,
                "name": row.name,
                "weights": row.weights,
                "sites": list(row.sites),
            }
        )
        return
    print(f"study   {row.identity}\nweights {row.weights}")
    print(f"offered to {', '.join(row.sites)}; each site's admin approves it there")


@app.command()
def pause(study: Asked, home: Home, form: Format = "text") -> None:
    """Ask nothing more of the sites until `resume`; readers may go on with what is open."""
    _move(home, form, study, "paused", ("running",), "study-paused")


@app.command()
def resume(study: Asked, home: Home, form: Format = "text") -> None:
    """Go on with a study that was paused."""
    _move(home, form, study, "running", ("paused",), "study-resumed")


@app.command()
def stop(study: Asked, home: Home, form: Format = "text") -> None:
    """End a study for good; what was committed stays, and can be exported."""
    _move(home, form, study, "stopped", ("running", "paused"), "study-stopped")


def _move(home: Path, form: str, asked: str, state: str, since: tuple[str, ...], kind: str) -> None:
    from contextlib import closing

    from server.home import ServerPaths, read_config
    from server.registry.registry import Registry
    from server.submitting import order

    check_format(form)
    read_config(home)
    with closing(Registry.open(ServerPaths(home).registry)) as registry:
        row = order(registry, asked, state, since, kind)
    if form == "json":
        print_json({"format": 1, "identity": row.identity, "name": row.name, "state": state})
    else:
        print(f"study {row.name} ({row.identity[:12]}): {state}")


@app.command()
def export(
    study: Asked,
    home: Home,
    out: Annotated[Path, typer.Option(help="Folder for model.safetensors and its card.")],
    form: Format = "text",
) -> None:
    """Write the newest committed model and its card of provenance."""
    from contextlib import closing

    from server.export import export_study
    from server.home import ServerPaths, read_config
    from server.registry.registry import Registry

    check_format(form)
    read_config(home)
    with closing(Registry.open(ServerPaths(home).registry)) as registry:
        card = export_study(ServerPaths(home), registry, study, out)
    if form == "json":
        print_json(card)
        return
    done = "finished" if card["finished"] else f"NOT FINISHED: the study is {card['state']}"
    print(f"{out / 'model.safetensors'}  {card['model']['sha256']}")
    print(f"{out / 'card.md'}, {out / 'card.json'}  {done}")
