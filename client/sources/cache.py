"""Pixels kept on disk: whole files, never more than a set size, the longest unused leave first."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

_STALE = 3600.0
"""Seconds after which a file that was never finished is taken for a dead writer's."""
_KEPT = 0.9
"""Share of the cap that stays after room was made."""
_UNSEEN = 0.05
"""Share of the cap that one daemon writes before it looks again at what all have written."""


@dataclass(slots=True)
class PixelCache:
    """Files by case and name under one folder; other daemons of the home use it, too.

    A file appears by renaming, so that a reader sees it whole or not at all, and a kill leaves only
    a `.part`, which counts and is removed as any other. A file that is open when it is evicted can
    still be read.

    Attributes:
        folder: of the cache.
        cap: bytes.
    """

    folder: Path
    cap: int
    _size: int | None = field(default=None)
    _since: int = 0

    def find(self, case: int, name: str) -> Path | None:
        """The file, marked as used now; None where it is not kept."""
        file = self._place(case, name)
        try:
            os.utime(file)
        except FileNotFoundError:
            return None
        return file

    @contextmanager
    def making(self, case: int, name: str, size: int) -> Iterator[Path]:
        """A path to write `size` bytes to; the file is kept as soon as the block ends well.

        Raises:
            ValueError: the file is larger than the whole cache.
        """
        self._make_room(size)
        file = self._place(case, name)
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = file.with_name(f"{file.name}.{os.getpid()}.{time.monotonic_ns()}.part")
        try:
            yield fresh
            os.replace(fresh, file)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
        self._size = (self._size or 0) + size
        self._since += size

    def put(self, case: int, name: str, block: bytes) -> None:
        """Keep a small file."""
        with self.making(case, name, len(block)) as fresh:
            fresh.write_bytes(block)

    def forget(self, cases: Iterable[int]) -> None:
        """Remove everything of these cases, its bytes overwritten first."""
        for case in cases:
            for file in sorted(self._folder_of(int(case)).glob(f"{int(case)}-*")):
                with suppress(FileNotFoundError):
                    _blank(file)
                    file.unlink()

    def _make_room(self, size: int) -> None:
        if size > self.cap:
            raise ValueError(f"{size} bytes for a cache of {self.cap}; accepted is a larger cache")
        fresh = self._since + size <= self.cap * _UNSEEN  # others may have written meanwhile
        if self._size is not None and fresh and self._size + size <= self.cap:
            return
        files = sorted(self._files())  # the longest unused first
        total = sum(length for _, length, _ in files)
        wanted = min(int(self.cap * _KEPT), self.cap - size)
        if total + size > self.cap:
            for _, length, path in files:
                if total <= wanted:
                    break
                path.unlink(missing_ok=True)
                total -= length
        self._size, self._since = total, 0

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        now = time.time()
        for path in self.folder.glob("*/*"):
            with suppress(FileNotFoundError):
                stat = path.stat()
                if path.suffix == ".part" and now - stat.st_mtime > _STALE:
                    path.unlink()
                elif path.is_file():
                    yield stat.st_mtime, stat.st_size, path

    def _place(self, case: int, name: str) -> Path:
        return self._folder_of(case) / f"{case}-{name}"

    def _folder_of(self, case: int) -> Path:
        return self.folder / f"{case % 256:02x}"


def _blank(file: Path) -> None:
    size = file.stat().st_size
    with file.open("r+b") as open_file:
        for start in range(0, size, 1 << 20):
            open_file.write(bytes(min(1 << 20, size - start)))
        open_file.flush()
        os.fsync(open_file.fileno())
