"""`wardround-site import`: cases from where the hospital keeps them."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemons.terminal import Format, Home, Refused, check_format, print_json

if TYPE_CHECKING:
    from client.sources.importing import Tally

app = typer.Typer()

_KEYS_SHOWN = 5


@app.command("import")
def take(
    source: Annotated[
        str,
        typer.Argument(
            help="A folder of DICOM or NIfTI files, the https:// address of an archive that "
            "speaks DICOMweb, a CSV beside images, an .npz, or a MONAI datalist (.json)."
        ),
    ],
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
    from client.paths import HomePaths
    from client.sources.choosing import Wanted, source_of
    from client.sources.decoder import Decoder
    from client.sources.importing import Import
    from client.sources.reach import Reach

    check_format(form)
    progress = _Progress(sys.stderr.isatty())
    reach, words, labels = Reach(HomePaths(home)), _allowed(allow or []), _labels(classes)
    with _only_one(home) as (store, key), Decoder() as decoder:
        task = Import(store, key, decoder, dry_run, progress.cases, reach)
        wanted = Wanted(source, kind, words, labels, progress.files, reach, task.looked)
        tally = task.run(source_of(wanted, decoder))
    progress.end()
    if form == "json":
        print_json(_plain(tally, dry_run))
    else:
        print("\n".join(_told(tally, dry_run)))


def _allowed(words: list[str]) -> frozenset[str]:
    from client.sources.dicom_rules import ALLOWANCES

    if strange := sorted(set(words) - set(ALLOWANCES)):
        raise ValueError(f"--allow {strange[0]}: accepted are {', '.join(ALLOWANCES)}")
    return frozenset(words)


def _labels(classes: str) -> Any:
    from client.sources.labels import Labels

    several = "|" in classes
    names = [name.strip() for name in classes.split("|" if several else ",") if name.strip()]
    if len(set(names)) != len(names):
        raise ValueError("--classes names a class twice; accepted is each class once")
    return Labels(tuple(names), several)


@contextmanager
def _only_one(home: Path) -> Iterator[tuple[Any, Any]]:
    """The home's database and secret, with no other import under way.

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
            yield store, key
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
