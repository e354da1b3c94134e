"""The audit log as a file that somebody else can verify, without wardround."""

from __future__ import annotations

import json
from collections.abc import Iterator

from client.audit.chain import lines
from client.audit.heads import Signed, kept
from client.store.store import SiteStore

FORMAT = 1

RECIPE = (
    "Every row of kind 'line' is one line of the log. Take the row without 'kind' and 'hash', "
    "write it as JSON with sorted keys, no spaces and ASCII only, and its SHA-256 in hex is "
    "'hash'. 'previous' is the hash of the line before, 64 zeros for line 1; lines count from "
    "1 without gaps. Every row of kind 'countersigned' is the server's word that the log had "
    "'lines' lines, of which the last has 'hash'. Its 'signature' (hex) is Ed25519, by the "
    "key in 'heads_key', over the UTF-8 text SITE, branch, lines, hash, at, with one newline "
    "between two of them. Lines after the last countersigned one, and lines that were cut off "
    "after it, only the server can vouch for."
)


def exported(store: SiteStore, site: str, key: bytes | None) -> Iterator[str]:
    """The log as JSON lines: a head with the recipe, the lines, the countersignatures.

    Args:
        store: of the site.
        site: its name.
        key: the server's key for heads (PEM); None where there is no kit.
    """
    store.connection.execute("BEGIN")  # one view, whoever writes meanwhile
    try:
        yield _row(
            "wardround audit log",
            format=FORMAT,
            site=site,
            heads_key=key.decode("ascii") if key else "",
            recipe=RECIPE,
        )
        for line in lines(store):
            yield _row("line", **line.document, hash=line.hash)
        for signed in kept(store):
            yield _row("countersigned", **_plain(signed))
    finally:
        store.connection.execute("ROLLBACK")


def _row(kind: str, **content: object) -> str:
    return json.dumps({"kind": kind, **content}, sort_keys=True)


def _plain(signed: Signed) -> dict[str, object]:
    return {
        "branch": signed.branch,
        "lines": signed.lines,
        "hash": signed.hash,
        "at": signed.at,
        "signature": signed.signature.hex(),
    }
