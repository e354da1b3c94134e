"""The decoding child: `python -m client.sources.decoding MEMORY OUTPUT`, limits in bytes.

Requests are JSON lines on standard input; answers are a length (4 bytes, big endian), JSON, and the
bytes that it counts. Nothing else ever comes out: no text of a library, no content of a file.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from client.sources.source import TROUBLES, PixelTrouble

Answer = tuple[dict[str, Any], bytes]


def main() -> None:
    """Answer requests until there are none."""
    out = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)  # C libraries print there
    _limit(int(sys.argv[1]), int(sys.argv[2]))
    warnings.simplefilter("ignore")
    for line in sys.stdin.buffer:
        answer, block = _answer(json.loads(line))
        text = json.dumps(answer | {"bytes": len(block)}).encode()
        _write(out, len(text).to_bytes(4, "big") + text + block)


def _limit(memory: int, output: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (output, output))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold pixels


def _write(out: int, block: bytes) -> None:
    view = memoryview(block)
    while view:
        view = view[os.write(out, view) :]


def _answer(request: Mapping[str, Any]) -> Answer:
    try:
        return _OPS[request["op"]](request)
    except PixelTrouble as trouble:
        word = str(trouble)
    except MemoryError:
        word = "too large"
    except FileNotFoundError:
        word = "missing"
    except Exception:  # a decoder may raise anything, and its words may quote the file
        word = "unreadable"
    return {"trouble": word if word in TROUBLES else "unreadable"}, b""


def _headers(request: Mapping[str, Any]) -> Answer:
    from client.sources.dicom_headers import headers

    return {"headers": headers(request["paths"])}, b""


def _examine(request: Mapping[str, Any]) -> Answer:
    from client.sources.rendering import survey

    return survey(request["locator"]), b""


def _picture(request: Mapping[str, Any]) -> Answer:
    from client.sources.rendering import picture

    channels, height, width = request["image"]
    return {}, picture(request["locator"], (channels, height, width)).tobytes()


def _volume(request: Mapping[str, Any]) -> Answer:
    from client.sources.rendering import write_volume

    write_volume(request["locator"], request["out"])
    return {}, b""


def _members(request: Mapping[str, Any]) -> Answer:
    from client.sources.arrays import members

    return members(request["path"]), b""


def _studies(request: Mapping[str, Any]) -> Answer:
    from client.sources.archive import studies

    return {"studies": studies(request["server"], request["offset"], request["limit"])}, b""


def _objects(request: Mapping[str, Any]) -> Answer:
    from client.sources.archive import objects

    return {"headers": objects(request["server"], request["study"])}, b""


def _fetch(request: Mapping[str, Any]) -> Answer:
    from client.sources.archive import fetch

    fetch(request["server"], request["locator"], request["folder"])
    return {}, b""


_OPS: Mapping[str, Callable[[Mapping[str, Any]], Answer]] = {
    "headers": _headers,
    "examine": _examine,
    "picture": _picture,
    "volume": _volume,
    "members": _members,
    "studies": _studies,
    "objects": _objects,
    "fetch": _fetch,
}

if __name__ == "__main__":
    main()
