"""`wardround-site import`: cases from where the hospital keeps them."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemons.terminal import Format, Home, Refused, check_format, fail, print_json

if TYPE_CHECKING:
    from client.home import SourceConfig
    from client.sources.importing import Tally

app = typer.Typer()

_KEYS_SHOWN = 5


@app.command("import")
def take(
    source: Annotated[
        str,
        typer.Argument(
            help="A folder of DICOM or NIfTI files, the https:// address of an archive that "
            "speaks DICOMweb, a CSV beside images, an .npz, or a MONAI datalist (.json); "
            "without one, every [[sources]] of site.toml."
        ),
    ] = "",
    *,
    home: Home,
    kind: Annotated[
        str,
        typer.Option(help="dicom, dicomweb, nifti, table, npz, datalist; else found out."),
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Look at everything, write nothing.")
    ] = False,
    allow: Annotated[
        list[str] | None,
        typer.Option(help="secondary, burned-in, unmarked or no-patient; may be repeated."),
    ] = None,
    classes: Annotated[
        str, typer.Option(help="Class names in label order, by commas, to read test labels.")
    ] = "",
    form: Format = "text",
) -> None:
    """Take cases into the pool; the same command again takes what is new.

    Images stay where they are and are read when they are needed. Names and paths are kept nowhere
    in the clear. With | between the class names, a label may hold several of them.
    """
    from client.home import SourceConfig

    check_format(form)
    if not source:
        if kind or allow or classes:
            raise ValueError(
                "--kind, --allow and --classes go with a SOURCE; site.toml has its own"
            )
        _every(home, dry_run, form)
        return
    one = SourceConfig(where=source, kind=kind, allow=tuple(allow or ()), classes=classes)
    with _only_one(home) as opened:
        tally = _taken(opened, one, dry_run)
    if form == "json":
        print_json(_plain(tally, dry_run))
    else:
        print("\n".join(_told(tally, dry_run)))


def _every(home: Path, dry: bool, form: str) -> None:
    """Import every configured source; one that cannot be used keeps no other from being taken.

    Raises:
        HomeError: none is configured.
        Exit: one could not be used.
    """
    from client.home import HomeError, read_config
    from client.sources.configured import of_site, unnamed

    sources = of_site(read_config(home), home)
    if not sources:
        raise HomeError("no [[sources]] in site.toml; accepted is one, or a SOURCE on the command")
    told: list[dict[str, Any]] = []
    with _only_one(home) as opened:
        for number, one in enumerate(sources, start=1):
            try:
                tally = _taken(opened, one, dry)
            except ValueError as error:
                why = unnamed(error, one.where)
                told.append({"source": number, "failed": why})
                fail(f"source {number}: {why}", 1, "wardround-site")
                continue
            told.append({"source": number, **_plain(tally, dry)})
            if form == "text":
                print("\n".join(f"source {number}: {line}" for line in _told(tally, dry)))
    if form == "json":
        print_json({"format": 1, "sources": told})
    raise typer.Exit(int(any("failed" in one for one in told)))


def _taken(opened: tuple[Any, Any, Path], one: SourceConfig, dry: bool) -> Tally:
    """One source imported.

    Raises:
        ValueError: it cannot be used.
    """
    from client.paths import HomePaths
    from client.sources.choosing import source_of
    from client.sources.configured import wanted_of
    from client.sources.decoder import Decoder
    from client.sources.importing import Import
    from client.sources.reach import Reach

    store, key, home = opened
    reach, progress = Reach(HomePaths(home)), _Progress(sys.stderr.isatty())
    with Decoder() as decoder:
        task = Import(store, key, decoder, dry, progress.cases, reach)
        wanted = replace(wanted_of(one, reach, progress.files), looked=task.looked)
        tally = task.run(source_of(wanted, decoder))
    progress.end()
    return tally


@contextmanager
def _only_one(home: Path) -> Iterator[tuple[Any, Any, Path]]:
    """The home's database and secret, and the home, with no other import under way.

    Raises:
        HomeError: no site, or one whose images are one array.
        Refused: another import runs.
    """
    import fcntl

    from client.home import HomeError, open_store, read_config
    from client.paths import HomePaths
    from client.patients import site_key

    config = read_config(home)
    if config.images:
        raise HomeError(
            f"{home}: its images are one array, as in simulations; "
            "accepted is a home without `images` in site.toml"
        )
    key = site_key(home)
    HomePaths(home).run.mkdir(mode=0o700, exist_ok=True)
    with (HomePaths(home).run / "import.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused("another import runs in this home; accepted is one at a time") from None
        store = open_store(home, durable=config.durable)
        try:
            yield store, key, home
        finally:
            store.close()


class _Progress:
    """One line on standard error, at most once a second for a person, every 10 s for a log."""

    def __init__(self, person: bool) -> None:
        self.person = person
        self.last = time.monotonic()
        self.shown = False

    def files(self, count: int) -> None:
        self._say(f"{count} files or studies looked at")

    def cases(self, tally: Tally) -> None:
        done = tally.taken.total() + tally.known
        self._say(f"{done} cases taken or known, {tally.skipped.total()} skipped")

    def end(self) -> None:
        if self.person and self.shown:
            print(file=sys.stderr)

    def _say(self, words: str) -> None:
        if time.monotonic() - self.last < (1.0 if self.person else 10.0):
            return
        self.last, self.shown = time.monotonic(), True
        print(
            f"\r{words:<60}" if self.person else words,
            end="" if self.person else "\n",
            file=sys.stderr,
            flush=True,
        )


def _told(tally: Tally, dry: bool) -> list[str]:
    """What was taken, what was there, what was skipped and why."""
    kinds = ", ".join(f"{count} {name}" for name, count in sorted(tally.taken.items()))
    done = "would be taken" if dry else "taken"
    lines = [f"{done}: {tally.taken.total()} cases of {len(tally.patients)} patients"]
    lines[0] += f" ({kinds})" if kinds else ""
    if tally.known:
        again = f", {tally.moved} of them found anew" if tally.moved else ""
        lines.append(f"there already: {tally.known} cases{again}")
    for reason, count in sorted(tally.skipped.items()):
        keys = tally.keys.get(reason, [])
        shown = f" [{', '.join(keys[:_KEYS_SHOWN])}{', ...' * (len(keys) > _KEYS_SHOWN)}]"
        lines.append(f"skipped: {count}: {reason}{shown if keys else ''}")
    return lines


def _plain(tally: Tally, dry: bool) -> dict[str, Any]:
    return {
        "format": 1,
        "dry_run": dry,
        "taken": {"cases": tally.taken.total(), "patients": len(tally.patients)},
        "by_modality": dict(sorted(tally.taken.items())),
        "known": tally.known,
        "found_anew": tally.moved,
        "skipped": [
            {"reason": reason, "count": count, "cases": tally.keys.get(reason, [])}
            for reason, count in sorted(tally.skipped.items())
        ],
    }
