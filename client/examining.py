"""Whether a study that came over the network may run here at all: examined before it is kept.

Names are looked up in our tables and in packages that the site's admin listed. That brings scipy,
and a listed package's own code runs: the daemon has it done by a process of its own, this module's.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Collection
from pathlib import Path

from protocol.study import Study, StudyError, document, parse

LARGEST = 256 * 1024
"""Bytes of a study's document."""
_PATIENCE = 120.0  # seconds: a loaded machine imports scipy in ten


class OfferRefused(ValueError):
    """A study that cannot run here, in one sentence."""


def plain(text: str, most: int = 240) -> str:
    """A text of the server's, safe to print: no control characters, no right-to-left tricks."""
    shown = "".join(c if c.isprintable() else "�" for c in text[: most + 1])
    return shown if len(shown) <= most else shown[: most - 3] + "..."


def read(text: str, identity: str) -> Study:
    """The study in an offer's document, if it is the one that the offer says.

    Raises:
        OfferRefused: it is no study, or has another identity.
    """
    if len(text.encode()) > LARGEST:
        raise OfferRefused(f"a study of {len(text)} characters; accepted are {LARGEST} bytes")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):  # no JSON, numbers of thousands of digits, nested lists
        raise OfferRefused("the study is not JSON; accepted is a study file as JSON") from None
    if not isinstance(content, dict):
        raise OfferRefused("the study is not a table; accepted is a study file as JSON")
    try:
        study = parse(content)
    except StudyError as error:
        raise OfferRefused(plain(str(error))) from None
    except RecursionError:  # JSON takes more of them than we do
        raise OfferRefused("tables within tables without end; accepted is a study file") from None
    if study.identity != identity:
        raise OfferRefused(
            f"the study's identity is {study.identity[:12]} and not the one offered; "
            "accepted is the study that hashes to its identity"
        )
    return study


def check_names(study: Study, packages: Collection[str]) -> None:
    """Build everything that the study chooses, once.

    Args:
        study: readable.
        packages: those that the site's admin listed.

    Raises:
        OfferRefused: a name or an argument outside our tables and those packages.
    """
    from strategies.chosen import decisions  # scipy comes with it

    try:
        decisions(study, allow_import=tuple(packages))
    except ValueError as error:
        raise OfferRefused(plain(str(error))) from None


async def wrong_names(home: Path, study: Study, patience: float = _PATIENCE) -> str:
    """What `check_names` says of a study, asked of a process of its own; "" if nothing is wrong."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-m", "client.examining", str(home)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        block = json.dumps(document(study)).encode()
        said, _ = await asyncio.wait_for(child.communicate(block), patience)
        return str(json.loads(said.splitlines()[-1])["wrong"])  # a package may have printed before
    except (OSError, TimeoutError, ValueError, LookupError, TypeError):
        return "the study could not be examined; accepted is one whose names can be built here"
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


def main(home: Path) -> None:
    """Print what is wrong with the names of the study on standard input, as JSON."""
    from client.home import read_config

    wrong = ""
    try:
        check_names(parse(json.loads(sys.stdin.read())), read_config(home).plugins)
    except OfferRefused as error:
        wrong = str(error)
    print(json.dumps({"wrong": wrong}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
