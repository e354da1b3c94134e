"""`attendance.json`: how the stream is, for `wardround-site status` and preflight."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from client.store.store import now
from protocol.files import replace_file


@dataclass(slots=True)
class Notice:
    """The file, written whole whenever something in it changes.

    What it holds: `state` ("connecting", "connected" or "waiting") and `since` when, when the
    server was last `heard`, the last `refusal` in words ("" once connected) and `refused` when,
    the server's `versions`, `skew` in seconds by which this site's clock is ahead, the last
    sequence `acknowledged`, and `news`, what the server last said of itself. Times are UTC,
    ISO 8601.
    """

    file: Path
    content: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.content = {
            "format": 1,
            "pid": os.getpid(),
            "state": "connecting",
            "since": now(),
            "heard": "",
            "refusal": "",
            "refused": "",
            "versions": {},
            "skew": None,
            "acknowledged": 0,
            "news": "",
        }

    def tell(self, **changed: Any) -> None:
        """Write the file with these changed; a full disk must not end the stream."""
        if "state" in changed and changed["state"] != self.content["state"]:
            changed["since"] = now()
        if changed.items() <= self.content.items():
            return
        self.content |= changed
        with suppress(OSError):
            self.file.parent.mkdir(mode=0o700, exist_ok=True)
            replace_file(self.file, json.dumps(self.content, indent=1).encode(), sync=False)
