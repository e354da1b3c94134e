"""`wardround-site demo`: one site alone, on this machine, for whoever wants to see it work."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from daemons.terminal import INTERRUPTED

app = typer.Typer()


@app.command()
def demo(
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the rehearsal's own home; kept. Else a temporary one."),
    ] = None,
    source: Annotated[
        list[Path] | None,
        typer.Option(
            help="A folder or file, as `import` takes it; may be repeated. Else a phantom."
        ),
    ] = None,
    study: Annotated[Path | None, typer.Option(help="A study file; else one is included.")] = None,
    cycles: Annotated[int | None, typer.Option(min=1, max=1000, help="Times around.")] = None,
    per_cycle: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="Readings of a cycle, or minutes.")
    ] = None,
    readers: Annotated[
        str,
        typer.Option(
            help="people: in the reading room; or simulated: they know the labels of an .npz."
        ),
    ] = "people",
) -> None:
    """Select, read and train at one site alone: no server, no allocation, nothing leaves.

    Makes a home of its own; the home of a real site is not taken. Interrupted or killed, the same
    command on the same folder goes on.
    """
    if readers not in ("people", "simulated"):
        raise ValueError(f"--readers {readers!r}: accepted is people or simulated")
    from client.rehearsal.place import Place
    from client.rehearsal.rehearse import rehearse
    from client.rehearsal.wanted import Wanted

    wanted = Wanted(
        tuple(path.absolute() for path in source or ()),
        study,
        cycles,
        per_cycle,
        readers == "simulated",
    )
    say = partial(print, flush=True)
    signal.signal(signal.SIGTERM, _interrupt)
    with _folder(out, say) as home:
        say(f"the rehearsal's home: {home}")
        rehearse(Place(home), wanted, say)


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


@contextmanager
def _folder(out: Path | None, say: Any) -> Iterator[Path]:
    """The folder asked for, or a temporary one that is removed unless it was interrupted."""
    home = out.absolute() if out else Path(tempfile.mkdtemp(prefix="wardround-demo-"))
    kept = out is not None
    try:
        yield home
    except KeyboardInterrupt:
        kept = True
        say(f"stopped; with --out {home} the same command goes on")
        raise typer.Exit(INTERRUPTED) from None
    finally:
        if not kept:
            shutil.rmtree(home, ignore_errors=True)
            say("the temporary home was removed; --out DIR keeps one")
