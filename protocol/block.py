"""The document of a packed record, without its arrays: no numpy is needed to read it."""

from __future__ import annotations

import json
from typing import Any

HEADER = "record"


def document(block: bytes) -> Any:
    """The JSON document in the header of `pack`'s bytes.

    Raises:
        KeyError: the block is one of safetensors, but none of ours.
        TypeError: the same, or its header is not a table.
        ValueError: there is no header.
    """
    size = int.from_bytes(block[:8], "little")
    return json.loads(json.loads(block[8 : 8 + size])["__metadata__"][HEADER])
