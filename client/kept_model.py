"""The model that the report step scored the pool with, kept for what select says of its cases.

Only in studies that show readers the model's opinion: a file as large as the model.
"""

from __future__ import annotations

from pathlib import Path

from protocol.codec import CodecError, pack, unpack
from protocol.files import replace_file
from protocol.records import Arrays, GlobalState

_FOLDER = "kept-models"


def write(home: Path, study: str, cycle: int, arrays: Arrays, *, sync: bool = True) -> None:
    """Keep a cycle's model in the place of the one before."""
    folder = home / _FOLDER
    folder.mkdir(exist_ok=True)
    file = folder / _file(study, cycle)
    replace_file(file, pack(GlobalState(arrays)), sync=sync)
    for older in folder.glob(f"{study[:16]}-*.safetensors"):
        if older != file:
            older.unlink(missing_ok=True)


def read(home: Path, study: str, cycle: int) -> Arrays | None:
    """The model of a cycle; None where it is not kept."""
    try:
        block = (home / _FOLDER / _file(study, cycle)).read_bytes()
        return unpack(GlobalState, block).arrays
    except (FileNotFoundError, CodecError):
        return None


def _file(study: str, cycle: int) -> str:
    return f"{study[:16]}-{cycle}.safetensors"
