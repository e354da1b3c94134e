"""Importing DICOM files against reading the same files with pydicom alone, and its memory.

    python -m simulations.benchmarks.imports FOLDER

reads every file in FOLDER with pydicom, pixels and all, and prints the seconds it took.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from simulations.benchmarks.dicom_files import SLICES, SYNTAXES, series
from simulations.benchmarks.goals import Line

MANY, FEW = 10_000, 2_000
"""Files of the import that is timed, and of the one whose memory it is held against."""

_LOOK = 0.05  # seconds between two looks at the memory
_ROOT = Path(__file__).resolve().parents[2]  # not from `runs`: the child would import torch first


@dataclass(frozen=True, slots=True)
class Imported:
    """One import in a home of its own.

    Attributes:
        seconds: of the whole command.
        peak: MB, resident, the command and its decoding child together at their largest.
    """

    seconds: float
    peak: float


def imports(quick: bool, repeats: int) -> Iterator[Line]:
    """`wardround-site import` and pydicom take turns over the same files, from the page cache."""
    from simulations.benchmarks.runs import ratios

    many, few = (400, 200) if quick else (MANY, FEW)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        series(folder / "many", many)
        series(folder / "few", few)
        _read(folder / "many")  # once, so that every timed pass finds the files in memory
        pairs = [
            (_import(folder / "many", folder / f"home-{i}"), _read(folder / "many"))
            for i in range(1 if quick else repeats)
        ]
        small = _import(folder / "few", folder / "home-few")
    took = [one.seconds for one, _ in pairs]
    alone = [seconds for _, seconds in pairs]
    yield Line(
        f"import of {many:,} DICOM files over pydicom alone",
        ratios(took, alone),
        "at most",
        2.0,
        note=f"128 x 128, series of {SLICES}, {len(SYNTAXES)} of ten compressed; warm page cache",
    )
    yield Line("the same, import", tuple(took), "at most", None, unit="s")
    yield Line("the same, dcmread and pixel_array", tuple(alone), "at most", None, unit="s")
    yield Line(
        f"peak memory, {many:,} files over {few:,}",
        tuple(one.peak / small.peak for one, _ in pairs),
        "at most",
        1.2,
        note=f"{pairs[0][0].peak:.0f} MB over {small.peak:.0f} MB, the decoding child included",
    )


def _read(folder: Path) -> float:
    """Seconds that pydicom took for every pixel, in a process of its own; as that tells it."""
    command = [sys.executable, "-m", "simulations.benchmarks.imports", str(folder)]
    said = subprocess.run(  # noqa: S603 - our own command
        command, cwd=_ROOT, check=True, stdout=subprocess.PIPE
    )
    return float(said.stdout)


def _import(folder: Path, home: Path) -> Imported:
    """One run of the command; its start-up is in the seconds."""
    from client.joining import make_site

    make_site(home, "north")
    ours = "from client.cli import main; main()"
    began = time.perf_counter()
    child = subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-c", ours, "import", str(folder), "--home", str(home)],
        cwd=_ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    watch = _Watch(child.pid)
    watch.start()
    code = child.wait()
    seconds = time.perf_counter() - began
    watch.join()
    if code:
        raise RuntimeError(f"the import ended with {code}")
    return Imported(seconds, watch.peak)


class _Watch(threading.Thread):
    """Looks at the memory of a command and its children until it ends."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.peak = pid, 0.0

    def run(self) -> None:
        """Keep the largest sum until the command is gone or waits to be buried."""
        while _resident(self.pid):
            family = (self.pid, *_children(self.pid))
            self.peak = max(self.peak, sum(map(_resident, family)))
            time.sleep(_LOOK)


def _children(pid: int) -> list[int]:
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    try:
        return [int(child) for one in lists for child in one.read_text(encoding="ascii").split()]
    except OSError:  # a thread has just ended
        return []


def _resident(pid: int) -> float:
    """MB; 0 of a process that has ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def alone(words: Sequence[str]) -> float:
    """Seconds for reading every file of a folder with its pixels; imports are not counted."""
    import pydicom

    files = sorted(Path(words[0]).rglob("*.dcm"))
    began = time.perf_counter()
    total = sum(pydicom.dcmread(file).pixel_array.size for file in files)
    if not total:
        raise ValueError("no pixels in that folder; accepted is one of DICOM files")
    return time.perf_counter() - began


if __name__ == "__main__":
    print(alone(sys.argv[1:]))
