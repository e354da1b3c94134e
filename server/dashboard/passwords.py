"""The dashboard's one password: set by the server's admin, kept as an argon2id hash."""

from __future__ import annotations

import os
from pathlib import Path

from daemons.web.passwords import hashed, is_right
from protocol.files import replace_file


def set_password(file: Path, password: str) -> None:
    """Keep the password's hash in that file, readable by its owner alone.

    Raises:
        PasswordRefused: it is too short.
    """
    replace_file(file, hashed(password).encode(), sync=True)
    os.chmod(file, 0o600)


def has_password(file: Path) -> bool:
    """Whether a password was set."""
    return file.exists()


def right_password(file: Path, password: str) -> bool:
    """Whether it is the one that was set; False where none was."""
    try:
        return is_right(file.read_text(encoding="utf-8"), password)
    except (OSError, ValueError):
        return False
