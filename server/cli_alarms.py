"""`wardround-server alarms`: what a person should look at, until somebody says that it was."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from daemons.terminal import Format, Home, check_format, print_json

if TYPE_CHECKING:
    from server.registry.alarm_shelf import AlarmShelf

app = typer.Typer()


@app.command()
def alarms(
    home: Home,
    clear: Annotated[
        int | None, typer.Option(help="Number of one that was looked into: it stands no more.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="The last 100, cleared ones too.")] = False,
    form: Format = "text",
) -> None:
    """List the alarms that stand, or clear one; the same matter may sound another."""
    from server.paths import ServerPaths, check_home
    from server.registry.alarm_shelf import AlarmShelf
    from server.registry.registry import Registry

    check_format(form)
    check_home(home)
    with closing(Registry.open(ServerPaths(home).registry)) as registry:
        shelf = AlarmShelf(registry.connection)
        if clear is not None:
            _clear(shelf, clear)
        found = shelf.latest() if every else shelf.standing()
    if form == "json":
        print_json({"format": 1, "alarms": [asdict(alarm) for alarm in found]})
        return
    for a in found:
        settled = f" (cleared {a.cleared})" if a.cleared else ""
        print(f"{a.id}  {a.at}  {a.site or 'server'}  {a.kind}: {a.words}{settled}")
    if not found:
        print("no alarm stands")


def _clear(shelf: AlarmShelf, number: int) -> None:
    standing = {alarm.id: alarm for alarm in shelf.standing()}
    if number not in standing:
        known = ", ".join(map(str, standing)) or "none stands"
        raise ValueError(f"--clear {number}: no such alarm stands; accepted is one of: {known}")
    shelf.clear(standing[number].kind, standing[number].site)
