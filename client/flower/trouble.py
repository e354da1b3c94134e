"""The file that says why the SuperNode does not reach the server. Light: status reads it."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from protocol.files import replace_file


@dataclass(frozen=True, slots=True)
class Trouble:
    """The file that holds the last reason, and is not there while all is well."""

    file: Path

    def note(self, words: str) -> None:
        """Keep the reason and when it was; the time stays that of the first of the same."""
        if self.read()[0] != words:
            at = datetime.now(UTC).isoformat(timespec="seconds")
            block = json.dumps({"format": 1, "words": words, "at": at}).encode()
            with suppress(OSError):  # a full disk must not stop the SuperNode
                replace_file(self.file, block, sync=False)

    def clear(self) -> None:
        """All is well."""
        with suppress(OSError):
            self.file.unlink(missing_ok=True)

    def read(self) -> tuple[str, str]:
        """The reason and since when, UTC, ISO 8601; both "" while all is well."""
        try:
            document = json.loads(self.file.read_bytes())
            return str(document["words"]), str(document["at"])
        except (OSError, ValueError, KeyError, TypeError):
            return "", ""
