"""What the commands share in speaking to a person or to a program."""

from __future__ import annotations

import json
import sqlite3
import sys
from pathlib import Path
from typing import Annotated

import click
import typer

Format = Annotated[str, typer.Option("--format", help="text, or json for programs.")]
Home = Annotated[
    Path,
    typer.Option("--home", envvar="WARDROUND_HOME", help="Folder with everything of this daemon."),
]


INTERRUPTED = 130
"""What typer returns, and does not raise, after Ctrl-C."""


class Refused(Exception):
    """Something that was asked for properly and is not allowed; the command ends with 3."""


def run_command(app: typer.Typer, name: str, *, interrupted: str = "stopped") -> None:
    """A command's entry: one sentence for bad input, no traceback for a person.

    Exit codes: 0 done, 1 failed, 2 bad input, 3 refused.
    """
    try:
        ended = app(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        ended = 2
    except (click.Abort, KeyboardInterrupt):
        ended = INTERRUPTED
    except OSError as error:  # a folder that is a file, a full disk, a path nobody may write
        ended = fail(unwritable(error), 1, name)
    except sqlite3.Error as error:
        why = f"a database cannot be used ({error}): its disk is full, or the file is damaged"
        ended = fail(why, 1, name)
    except (Refused, ValueError, RuntimeError) as error:
        ended = fail(str(error), _code(error), name)
    if ended == INTERRUPTED:
        ended = fail(interrupted, 1, name)
    if ended:
        sys.exit(ended)


def _code(error: Exception) -> int:
    """3 for what is refused, 2 for bad input (every refusal of input is a ValueError), else 1."""
    if isinstance(error, Refused):
        return 3
    return 2 if isinstance(error, ValueError) else 1


def fail(sentence: str, code: int, name: str = "wardround") -> int:
    """Say why on standard error; the exit code."""
    print(f"{name}: {sentence}", file=sys.stderr)
    return code


def unwritable(error: OSError) -> str:
    """What the system refused, and where, in one sentence."""
    where = f"{error.filename}: " if error.filename else ""
    if isinstance(error, FileExistsError | NotADirectoryError):
        return f"{where}there is a file where a folder is needed"
    return f"{where}the system refused ({error.strerror or type(error).__name__})"


def check_format(form: str) -> None:
    """Refuse a format that does not exist.

    Raises:
        ValueError: neither text nor json.
    """
    if form not in ("text", "json"):
        raise ValueError(f"--format {form}: accepted is text or json")


def check_place(file: Path) -> None:
    """Refuse, before any work, a file that could not be written.

    Raises:
        ValueError: it is a folder, or its folder is not there.
    """
    if file.is_dir():
        raise ValueError(f"{file} is a folder; accepted is a file")
    if not file.absolute().parent.is_dir():
        raise ValueError(f"{file}: its folder does not exist")


def print_json(content: object) -> None:
    """One JSON document on standard output."""
    print(json.dumps(content, indent=1, sort_keys=True))
