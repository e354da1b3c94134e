"""The one Flower App Bundle that travels: a configuration and a page of text, no code.

Server and sites build it from their own installed package and accept only these bytes.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent / "fab"
_FILES = ("pyproject.toml", "README.md")
_LISTING = ".info/CONTENT"
_DATE = (2024, 10, 1, 0, 0, 0)  # Flower's


@cache
def fab() -> bytes:
    """The bundle; the same bytes as `flwr build` makes of the folder, on any machine.

    Written here, because Flower's own builder writes the TOML anew with whatever release of
    its writer is installed, and takes a second to import.
    """
    contents = {name: (_FOLDER / name).read_bytes() for name in _FILES}
    lines = [
        f"{name},{hashlib.sha256(content).hexdigest()},{len(content) * 8}"
        for name, content in contents.items()
    ]
    contents[_LISTING] = "\n".join(lines).encode()
    block = io.BytesIO()
    with zipfile.ZipFile(block, "w") as file:
        for name, content in contents.items():
            entry = zipfile.ZipInfo(name, _DATE)  # stored, as compressors differ
            entry.create_system = 3  # what Python writes on Unix
            file.writestr(entry, content)
    return block.getvalue()


def fab_hash() -> str:
    """SHA-256 of the bundle (hex, 64), by which Flower names it."""
    return hashlib.sha256(fab()).hexdigest()
