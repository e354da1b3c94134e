"""The installed commands, called as a person would call them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


class CommandFailed(RuntimeError):
    """A command of ours that did not end with 0, with what it said."""


def installed(name: str) -> str:
    """The command of that name beside this interpreter."""
    return str(Path(sys.executable).parent / name)


def call(name: str, *words: str, home: Path, timeout: float = 120.0) -> str:
    """What the command printed.

    Raises:
        CommandFailed: its exit code was not 0, or it took longer than `timeout` seconds.
    """
    command = [installed(name), *words, "--home", str(home)]
    try:
        done = subprocess.run(  # noqa: S603 - our own commands
            command, capture_output=True, text=True, check=False, timeout=timeout
        )
    except subprocess.TimeoutExpired:
        raise CommandFailed(f"{name} {words[0]} took longer than {timeout:.0f} s") from None
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines() or ["nothing"]
        raise CommandFailed(f"{name} {words[0]} ended with {done.returncode}: {said[-1]}")
    return done.stdout


def ask(name: str, *words: str, home: Path) -> dict[str, Any]:
    """The JSON document that the command printed."""
    document: dict[str, Any] = json.loads(call(name, *words, "--format", "json", home=home))
    return document
