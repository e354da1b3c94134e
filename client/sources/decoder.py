"""The parent's end of the decoding child: a child that is killed costs one case, not the import."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from client.sources.source import TROUBLES, PixelTrouble

_SAFE = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT", "HOME", "TMPDIR", "VIRTUAL_ENV")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one child may use.

    Attributes:
        memory: bytes of address space.
        seconds: for one request, plus `per_file` for each file of the case.
        per_file: seconds.
        output: bytes of a file that it writes.
    """

    memory: int = 3 << 30
    seconds: float = 30.0
    per_file: float = 1.0
    output: int = 8 << 30


@dataclass(slots=True)
class Decoder:
    """Reads pixels and headers in a child, started when first asked, and anew when it died."""

    limits: Limits = field(default_factory=Limits)
    _child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Decoder:
        return self

    def __exit__(self, *ending: object) -> None:
        self.close()

    def ask(self, request: dict[str, Any], files: int = 1) -> tuple[dict[str, Any], bytes]:
        """The child's answer, and the bytes that came with it.

        Args:
            files: how many the request touches; they buy time.
        Raises:
            PixelTrouble: one of TROUBLES.
        """
        child = self._running()
        until = time.monotonic() + self.limits.seconds + files * self.limits.per_file
        try:
            _send(child, json.dumps(request).encode() + b"\n")
            answer = json.loads(self._line(child, until))
            block = self._bytes(child, int(answer.get("bytes", 0)), until)
        except PixelTrouble:
            self.close()
            raise
        except (OSError, ValueError):
            self.close()
            raise PixelTrouble("killed") from None
        except BaseException:
            self.close()  # whatever the child says next would be taken for the next answer
            raise
        if trouble := answer.get("trouble"):
            raise PixelTrouble(trouble if trouble in TROUBLES else "unreadable")
        return answer, block

    def close(self) -> None:
        """End the child."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    _closed(pipe)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None or self._child.poll() is not None:
            self.close()
            self._child = _start(self.limits)
        return self._child

    def _line(self, child: subprocess.Popen[bytes], until: float) -> bytes:
        size = int.from_bytes(self._bytes(child, 4, until), "big")
        return self._bytes(child, size, until)

    def _bytes(self, child: subprocess.Popen[bytes], size: int, until: float) -> bytes:
        parts: list[bytes] = []
        pipe = child.stdout.fileno() if child.stdout else -1
        while size:
            left = until - time.monotonic()
            if left <= 0 or not select.select([pipe], [], [], left)[0]:
                raise PixelTrouble("too slow")
            part = os.read(pipe, min(size, 1 << 20))
            if not part:
                raise PixelTrouble("killed")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


def _send(child: subprocess.Popen[bytes], block: bytes) -> None:
    """All of it: the pipe is not buffered, and a write may take a part."""
    view = memoryview(block)
    while view and child.stdin is not None:
        view = view[child.stdin.write(view) or 0 :]


def _closed(pipe: Any) -> None:
    try:
        pipe.close()
    except OSError:  # what was written last never arrived
        return


def _start(limits: Limits) -> subprocess.Popen[bytes]:
    # What a library prints may quote a file's content: the child's own output goes nowhere.
    env = {name: os.environ[name] for name in _SAFE if name in os.environ}
    env |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": _ours()}
    command = [sys.executable, "-P", "-m", "client.sources.decoding"]
    return subprocess.Popen(  # noqa: S603  # our own module
        [*command, str(limits.memory), str(limits.output)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        env=env,
        start_new_session=True,  # Ctrl-C ends the import in order, not its child at once
    )


def _ours() -> str:
    return str(Path(__file__).resolve().parents[2])
