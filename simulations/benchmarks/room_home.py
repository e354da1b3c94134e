"""A reading room for the benchmarks: a home with open cases, accounts, the real server."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from protocol.study import Study, parse
from simulations.benchmarks.dicom_files import x_rays

ROOT = Path(__file__).resolve().parents[2]  # not from `runs`, which brings torch
PASSWORD = "a long enough word"  # noqa: S105 - of a room that lives for a minute


@dataclass(frozen=True, slots=True)
class Served:
    """A room that is served.

    Attributes:
        address: with its scheme.
        pid: of the program.
    """

    address: str
    pid: int

    def cpu(self) -> float:
        """Seconds of a processor that the program has had."""
        import psutil

        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)


def study_of(size: int) -> Study:
    """Three classes, one reader for each case."""
    names = ("clear", "pneumonia", "effusion")
    content = {
        "schema": 1,
        "name": "bench",
        "task": {
            "image": [1, size, size],
            "classes": [{"name": n, "definition": f"It shows {n}."} for n in names],
        },
        "network": {"name": "tiny-cnn"},
        "budget": {"total": 8000, "per_cycle": 4000},
    }
    return parse(content)


def home_of_images(folder: Path, cases: int, size: int) -> tuple[Path, Study]:
    """A home with that many 16-bit X-rays, imported as a hospital would, all of them open."""
    from client.home import open_store
    from client.joining import make_site
    from client.patients import site_key
    from client.sources.decoder import Decoder
    from client.sources.dicom_folder import DicomFolder
    from client.sources.importing import Import

    home, source, study = folder / "home", folder / "source", study_of(min(size, 512))
    x_rays(source, cases, size)
    make_site(home, "north")
    with Decoder() as decoder, closing(open_store(home)) as store:
        tally = Import(store, site_key(home), decoder).run(DicomFolder(source, decoder))
    if tally.taken.total() != cases:
        raise RuntimeError(f"{tally.taken.total()} of {cases} cases were taken")
    _open(home, study, cases)
    return home, study


def home_of_cases(folder: Path, cases: int) -> tuple[Path, Study]:
    """A home with that many tiny cases: what the room does besides images."""
    import numpy as np

    from client.home import HomeConfig, open_store, read_config
    from client.joining import make_site
    from client.patients import site_key
    from client.site import Arrival, enrol

    home, study = folder / "home", study_of(8)
    make_site(home, "north")
    np.save(home / "images.npy", np.zeros((cases, 1, 8, 8), np.uint8))
    _configure(home, read_config(home).model_copy(update={"images": "images.npy"}))
    if not HomeConfig(name="north").durable:
        raise RuntimeError("a site's commits are no longer durable by default")
    names = [f"case-{i}" for i in range(cases)]
    arrival = Arrival(names, names, ["pool"] * cases, range(cases))
    with closing(open_store(home)) as store:
        enrol(store, site_key(home), arrival, clustered=False)
    _open(home, study, cases)
    return home, study


def let_in(home: Path, names: Sequence[str]) -> None:
    """Accounts of readers, all with one password."""
    from client.home import open_store
    from client.store.reader_shelf import Account
    from daemons.web.passwords import hashed

    kept = hashed(PASSWORD)
    with closing(open_store(home)) as store, store.transaction():
        for name in names:
            store.readers.add(Account(name, "reader", kept, "2026-01-05T08:00:00+00:00"))


@contextmanager
def serving(home: Path) -> Iterator[Served]:
    """`python -m client.room` on that home, once it answers."""
    import httpx

    from client.home import Deployment, read_config
    from daemons.ports import free_port

    where = f"127.0.0.1:{free_port()}"
    _configure(home, read_config(home).model_copy(update={"deployment": Deployment(room=where)}))
    address = str(httpx.URL(scheme="http", host="127.0.0.1", port=int(where.rpartition(":")[2])))
    with (home / "room.log").open("wb") as log:
        child = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "client.room", "--home", str(home)], cwd=ROOT, stderr=log
        )
    try:
        until = time.monotonic() + 60
        while not _answers(address):
            if child.poll() is not None or time.monotonic() > until:
                raise RuntimeError("the reading room did not start")
            time.sleep(0.05)
        yield Served(address, child.pid)
    finally:
        child.terminate()
        child.wait(20)


def _answers(address: str) -> bool:
    import httpx

    try:
        return httpx.get(address, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def _configure(home: Path, config: object) -> None:
    from client.home import HomeConfig, make_home

    make_home(home, HomeConfig.model_validate(config))


def _open(home: Path, study: Study, cases: int) -> None:
    """Approve the study and put every case before the readers, every fourth for audit."""
    from client.home import open_store
    from client.store.reading_shelf import Opening

    with closing(open_store(home)) as store, store.transaction():
        store.steps.approve(study, "w")
        store.readings.grant(study.identity, 0, 0, cases)
        numbers = range(1, cases + 1)
        openings = [Opening(i, "query" if i % 4 else "audit") for i in numbers]
        store.readings.open(study.identity, 0, openings)
