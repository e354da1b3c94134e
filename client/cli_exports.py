"""`wardround-site export` and `import-labels`: for other tools, within the hospital."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemons.terminal import Format, Home, check_format, print_json

if TYPE_CHECKING:
    from client.exports.arriving import Tally
    from client.store.store import SiteStore

app = typer.Typer()

Study = Annotated[str, typer.Option(help="Its name, or the beginning of its identity.")]
_KEYS_SHOWN = 5
_WARNING = (
    "the file names the hospital's own files, which may name patients: it is readable by you "
    "alone (0600), and is noted in the audit log"
)


@app.command()
def export(
    what: Annotated[str, typer.Argument(help="pool, readings or labels.")],
    study: Study,
    out: Annotated[Path, typer.Option(help="A name ending in .csv, or in .json: a datalist.")],
    home: Home,
    with_files: Annotated[
        bool, typer.Option("--with-files", help="Name each case's files beside its key.")
    ] = False,
    form: Format = "text",
) -> None:
    """Write a study's pool, readings or labels for other tools; the file stays in the hospital.

    Cases go by their keys, which nobody can trace without the site's secret. Labels of audit cases
    are marked, or under `test`: a model that was trained on them can no longer be measured here.
    """
    from client.audit.chain import note
    from client.exports.places import files_of
    from client.exports.tables import TABLES
    from client.exports.which import study_named
    from client.exports.writing import put, writer_of
    from client.home import read_config

    check_format(form)
    if what not in TABLES:
        raise ValueError(f"{what!r} cannot be exported; accepted is {', '.join(TABLES)}")
    writer = writer_of(out)
    with _store(home) as store:
        chosen = study_named(store, study)
        rows = TABLES[what](store, chosen, read_config(home).plugins)
        if with_files:
            print(f"wardround-site: {_WARNING}", file=sys.stderr)
            files = files_of(home, store, [row["case"] for row in rows])
            rows = [{**row, "files": files.get(row["case"], [])} for row in rows]
        with store.transaction():
            words = f"{what}, {len(rows)} rows{', with the names of files' if with_files else ''}"
            note(store, "exported", study=chosen.identity, words=words)
        put(out, writer(what, chosen, rows))
    if form == "json":
        print_json({"format": 1, "what": what, "rows": len(rows), "files": with_files})
    else:
        print(f"{len(rows)} rows in {out}")


@app.command("import-labels")
def import_labels(
    file: Annotated[Path, typer.Argument(help="A CSV or datalist, with columns as exported.")],
    study: Study,
    reader: Annotated[str, typer.Option(help="The account whose readings they become.")],
    home: Home,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be taken, keep nothing.")
    ] = False,
    form: Format = "text",
) -> None:
    """Take labels made elsewhere as readings, for cases that are open to this reader now.

    They spend the grant, are kept as any reading is, and the same file again adds nothing.
    """
    from client import accounts
    from client.exports.arriving import take
    from client.exports.reading_in import told
    from client.exports.which import study_named

    check_format(form)
    with _store(home) as store:
        chosen = store.steps.study(study_named(store, study).identity)
        accounts.known(store, reader)
        who = store.readers.find(reader)
        assert who is not None  # noqa: S101 - `known` has looked
        hashed, rows = told(file, chosen, reader)
        tally = take(store, chosen, who, hashed, rows, dry=dry_run)
    if form == "json":
        print_json(_plain(tally, dry_run))
    else:
        print("\n".join(_lines(tally, dry_run)))


def _lines(tally: Tally, dry: bool) -> list[str]:
    lines = [f"{'would be taken' if dry else 'taken'}: {tally.taken} readings"]
    if tally.known:
        lines.append(f"taken before: {tally.known}")
    for reason, count in sorted(tally.skipped.items()):
        keys = tally.keys.get(reason, [])
        shown = f" [{', '.join(keys[:_KEYS_SHOWN])}{', ...' * (len(keys) > _KEYS_SHOWN)}]"
        lines.append(f"skipped: {count}: {reason}{shown if keys else ''}")
    return lines


def _plain(tally: Tally, dry: bool) -> dict[str, Any]:
    return {
        "format": 1,
        "dry_run": dry,
        "taken": tally.taken,
        "known": tally.known,
        "skipped": [
            {"reason": reason, "count": count, "cases": tally.keys.get(reason, [])}
            for reason, count in sorted(tally.skipped.items())
        ],
    }


@contextmanager
def _store(home: Path) -> Iterator[SiteStore]:
    from client.home import open_store, read_config

    store = open_store(home, durable=read_config(home).durable)
    try:
        yield store
    finally:
        store.close()
