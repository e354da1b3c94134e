"""The reading room as its readers meet it: a real server, a real browser, a real disk."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import median, quantiles

from simulations.benchmarks.goals import Line
from simulations.benchmarks.room_browser import NoBrowser, answered, dragged
from simulations.benchmarks.room_home import ROOT, home_of_cases, home_of_images, let_in, serving
from simulations.benchmarks.storage import sync_ms

READERS = 20


def room(quick: bool, repeats: int) -> Iterator[Line]:
    """What the issue asks of the reading room, one line each."""
    runs = 1 if quick else repeats
    try:
        yield from _shown(512, 100.0, 8 if quick else 64, runs)
        if not quick:
            yield from _shown(2048, 200.0, 64, runs)
        yield from _dragged(256 if quick else 1024, runs)
    except NoBrowser as reason:
        yield Line("answers and windows in a browser", (), "at most", None, note=str(reason))
    yield from _saved(2 if quick else 20, runs)


def _shown(size: int, goal: float, cases: int, runs: int) -> Iterator[Line]:
    """From the key of an answer to the next case painted; the next ones were fetched ahead."""
    found = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as place:
            home, _ = home_of_images(Path(place), cases, size)
            let_in(home, ["reader-0"])
            with serving(home) as served:
                found.append(answered(served.address, cases - 4))
    what = f"answer to next case painted, {size} x {size}, p95"
    high = tuple(_percentile(one, 95) for one in found)
    count = len(found[0])
    note = f"{count} answers a run, a case looked at for a second, marks set inside the page"
    yield Line(what, high, "at most", goal, unit="ms", note=note)
    yield Line("the same, median", tuple(map(median, found)), "at most", None, unit="ms")


def _dragged(size: int, runs: int) -> Iterator[Line]:
    found = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as place:
            home, _ = home_of_images(Path(place), 2, size)
            let_in(home, ["reader-0"])
            with serving(home) as served:
                found.append(dragged(served.address))
    yield Line(
        f"window drawn anew while dragged, {size} x {size}",
        tuple(found),
        "at least",
        30.0,
        unit="frames/s",
        note="frames that were painted, by the page's own marks, over the time of the drag",
    )


def _saved(each: int, runs: int) -> Iterator[Line]:
    """Twenty readers at once; every answer that was called saved must be in the database."""
    for think, words, goal in (
        ("wave", "all at one instant, wave after wave", 150.0),
        ("1.0", "each after a pause of up to a second", 150.0),
        ("0", "each without any pause", None),
    ):
        found, cpu, lost = [], [], 0
        for _ in range(runs):
            times, seconds, missing = _answers(think, each)
            found.append(times)
            cpu.append(seconds * 1000 / len(times))
            lost += missing
        yield Line(
            f"{READERS} readers, {words}: saved, p99",
            tuple(_percentile(one, 99) for one in found),
            "at most",
            goal,
            unit="ms",
            note=f"p50 {median(found[-1]):.0f} ms, p95 {_percentile(found[-1], 95):.0f} ms, "
            f"{len(found[0])} answers a run; a sync of this disk takes {sync_ms():.1f} ms",
            failed=f"{lost} saved answers are not in the database" if lost else "",
        )
        what = "the same, the room's processor time for each"
        yield Line(what, tuple(cpu), "at most", None, unit="ms")


def _answers(think: str, each: int) -> tuple[list[float], float, int]:
    """One run: milliseconds of every answer, the room's processor seconds, answers lost."""
    from client.home import open_store

    with tempfile.TemporaryDirectory() as place:
        home, study = home_of_cases(Path(place), READERS * (each + 2))
        let_in(home, [f"reader-{i}" for i in range(READERS)])
        with serving(home) as served:
            port = served.address.rstrip("/").rpartition(":")[2]
            worker = [sys.executable, "-m", "simulations.benchmarks.room_readers", port]
            said = subprocess.run(  # noqa: S603 - our own command
                [*worker, str(served.pid), study.identity, str(READERS), str(each), think],
                cwd=ROOT,
                check=True,
                stdout=subprocess.PIPE,
            )
            cpu = served.cpu() - json.loads(said.stdout)["before"]
        told = json.loads(said.stdout)
        with closing(open_store(home)) as store:
            rows = store.connection.execute("SELECT submission FROM readings").fetchall()
    kept = [row[0] for row in rows]
    if len(kept) != len(set(kept)) or len(told["saved"]) != READERS * each:
        raise RuntimeError("an answer was kept twice, or was not answered")
    return list(told["ms"]), cpu, len(set(told["saved"]) - set(kept))


def _percentile(values: list[float], part: int) -> float:
    return quantiles(values, n=100, method="inclusive")[part - 1]
