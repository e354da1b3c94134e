"""`wardround-site practice`: the cases on which readers practise before a study."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daemons.terminal import Format, Home, check_format, print_json

if TYPE_CHECKING:
    from client.store.store import SiteStore

app = typer.Typer(help="Cases on which readers practise before a study.", no_args_is_help=True)

File = Annotated[
    Path,
    typer.Argument(
        help="CSV with the columns case (as it was imported, or its key), class (or classes, "
        "joined by |) and, if wanted, words that are shown with the answer."
    ),
]


@app.command()
def add(
    file: File,
    home: Home,
    study: Annotated[
        str, typer.Option(help="Whose classes are meant: its name, or how its identity begins.")
    ] = "",
    form: Format = "text",
) -> None:
    """Add cases to the practice set, or change their answers; all of the file, or nothing.

    Their patients leave every pool and audit set. Accepted are cases of the pool whose patients no
    study has opened.
    """
    from client import practice_set
    from client.patients import site_key

    check_format(form)
    with _store(home) as store:
        count = practice_set.add(store, site_key(home), file, study)
    _tell("added", count, form)


@app.command()
def remove(
    home: Home,
    file: Annotated[
        Path | None, typer.Argument(help="CSV with the column case; without one, all of them.")
    ] = None,
    form: Format = "text",
) -> None:
    """Take cases out of the practice set; patients whom nobody practised on are free again."""
    from client import practice_set
    from client.patients import site_key

    check_format(form)
    with _store(home) as store:
        count = practice_set.remove(store, site_key(home), file)
    _tell("removed", count, form)


@app.command("list")
def list_cases(home: Home, form: Format = "text") -> None:
    """Count the practice cases by class; no case is named."""
    from client import practice_set

    check_format(form)
    with _store(home) as store:
        told = practice_set.listed(store)
    if form == "json":
        counts = {"cases": told.cases, "patients": told.patients, "classes": dict(told.classes)}
        print_json({"format": 1, **counts})
        return
    print(f"{told.cases} practice cases of {told.patients} patients")
    for name, count in told.classes.items():
        print(f"  {name}: {count}")


@contextmanager
def _store(home: Path) -> Iterator[SiteStore]:
    from client.home import open_store, read_config

    store = open_store(home, durable=read_config(home).durable)
    try:
        yield store
    finally:
        store.close()


def _tell(done: str, count: int, form: str) -> None:
    if form == "json":
        print_json({"format": 1, done: count})
    else:
        print(f"{count} practice cases {done}")
