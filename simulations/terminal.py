"""What the commands share in speaking to a person or to a program."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

Format = Annotated[str, typer.Option("--format", help="text, or json for programs.")]


def fail(sentence: str, code: int) -> int:
    """Say why on standard error; the exit code."""
    print(f"wardround: {sentence}", file=sys.stderr)
    return code


def unwritable(error: OSError) -> str:
    """What the system refused, and where, in one sentence."""
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}the system refused ({error.strerror or type(error).__name__})"


def check_format(form: str) -> None:
    """Refuse a format that does not exist.

    Raises:
        ValueError: neither text nor json.
    """
    if form not in ("text", "json"):
        raise ValueError(f"--format {form}: accepted is text or json")


def print_json(content: object) -> None:
    """One JSON document on standard output."""
    print(json.dumps(content, indent=1, sort_keys=True))
