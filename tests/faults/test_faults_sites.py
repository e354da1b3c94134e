"""Sites that are cut off, full, turned back, out of time, or gone for good."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from client.home import HomePaths, open_store
from simulations.poc.commands import ask
from simulations.poc.layout import Layout
from simulations.poc.relay import Relay
from simulations.poc.rig import federation, room_for_relay, sabotage
from simulations.poc.soundness import check_budget, check_sound

pytestmark = pytest.mark.faults


def test_a_network_is_cut_for_thirty_seconds(tmp_path: Path) -> None:
    """Between all sites and the server, twice."""
    relays: list[Relay] = []

    def between(layout: Layout) -> None:
        relays.append(Relay(*room_for_relay(layout)))
        relays[0].start()

    with federation(tmp_path / "poc", 3, before=between) as broken:

        def cut() -> None:
            broken.reads("site-01")
            relays[0].cut()
            time.sleep(30)
            relays[0].heal()

        work = sabotage([cut, cut], pause=20.0)
        assert broken.until_over() == "ended"
        work.join(200.0)
        check_sound(broken.layout, broken.identity)
    assert relays[0].passed > 0
    relays[0].stop()


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[None]:
    """A file system of that size in place of the folder, with what was in it."""
    aside = folder.with_name(folder.name + "-aside")
    folder.rename(aside)
    folder.mkdir()
    size = f"size={megabytes}m"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)], check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system is not allowed here")
    try:
        shutil.copytree(aside, folder, dirs_exist_ok=True)
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def copy_of(home: Path) -> None:
    """Keep the site's database as it is now."""
    store = open_store(home)
    store.connection.execute("VACUUM INTO ?", (str(home / "copy.db"),))
    store.close()


def put_back(home: Path) -> None:
    """Put the old copy in place of the database, as from a backup."""
    for beside in ("site.db-wal", "site.db-shm"):
        (home / beside).unlink(missing_ok=True)
    os.replace(home / "copy.db", HomePaths(home).database)


def fill(folder: Path) -> Path:
    """The file that takes the last byte of a file system."""
    path = folder / "filler"
    with path.open("wb") as file:
        try:
            while True:
                os.write(file.fileno(), b"\0" * 65536)
        except OSError:
            pass
    return path


def test_a_full_disk_an_old_copy_and_a_wrong_clock(tmp_path: Path) -> None:
    """Three sites in trouble at once, each of its own kind; the study ends by itself."""
    with federation(tmp_path / "poc", 3) as broken:
        full, old, late = (broken.layout.site(name) for name in broken.layout.names)
        broken.stop("site-01")
        with small_disk(full, 64):
            broken.start("site-01")

            def no_space() -> None:
                broken.reads("site-01")
                filler = fill(full)
                time.sleep(40)
                filler.unlink()

            def turned_back() -> None:
                broken.reads("site-02")
                copy_of(old)
                time.sleep(40)
                for daemon in ("site-02-readers", "site-02"):
                    broken.stop(daemon)
                put_back(old)
                for daemon in ("site-02", "site-02-readers"):
                    broken.start(daemon)

            def wrong_clock() -> None:
                broken.reads("site-03")
                broken.stop("site-03")
                broken.start("site-03", **an_hour_ahead())
                time.sleep(45)
                broken.stop("site-03")
                broken.start("site-03")

            work = [sabotage([deed], pause=0.0) for deed in (no_space, turned_back, wrong_clock)]
            assert broken.until_over() == "ended"
            for trouble in work:
                trouble.join(200.0)
            check_sound(broken.layout, broken.identity, frozenset({"site-02"}))
            status = ask("wardround-server", "status", home=broken.layout.server)
            kinds = {(alarm["site"], alarm["kind"]) for alarm in status["alarms"]}
            assert ("site-02", "log-restored") in kinds
            broken.stop_all()
    assert late.exists()


def an_hour_ahead() -> dict[str, str]:
    """The environment in which a process sees a clock that is an hour ahead."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not found:
        pytest.skip("libfaketime is not installed")
    return {"LD_PRELOAD": str(found[0]), "FAKETIME": "+1h"}


def test_a_site_that_never_returns(tmp_path: Path) -> None:
    """It took its grant and went: the others get on, and the account still adds up."""
    settings = ("aggregation.quorum=0.6", "reading.deadline_hours=0.015")
    with federation(tmp_path / "poc", 3, *settings) as broken:

        def gone() -> None:
            broken.reads("site-03")
            broken.stop("site-03-readers")
            broken.stop("site-03")

        work = sabotage([gone], pause=0.0)
        assert broken.until_over() == "ended"
        work.join(200.0)
        study = check_budget(broken.layout, broken.identity)
        assert study["spent"] > 0
