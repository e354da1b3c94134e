"""How a site is, read from what its processes left: quick, and nothing is written or asked.

No numpy, no pydantic, no certificates' library: `wardround-site status` answers in 0.3 s.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
import sqlite3
import tomllib
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from client.flower.trouble import Trouble
from client.paths import HomePaths
from daemons.status import read_status

_VALIDITY = re.compile(
    rb"\x30.(?:\x17\x0d|\x18\x0f)(\d{12,14})Z(?:\x17\x0d|\x18\x0f)(\d{12,14})Z", re.S
)

_STUDIES = """
SELECT identity, document, standing, "" FROM studies
UNION ALL SELECT identity, document, state, asked_by FROM offers
WHERE identity NOT IN (SELECT identity FROM studies) ORDER BY identity
"""
_CYCLES = """
SELECT cycle, SUM(count),
    (SELECT COUNT(*) FROM readings r WHERE r.study = g.study AND r.cycle = g.cycle),
    EXISTS (SELECT 1 FROM closings c WHERE c.study = g.study AND c.cycle = g.cycle)
FROM grants g WHERE study = ? GROUP BY cycle ORDER BY cycle
"""


def overview(home: Path) -> dict[str, Any]:
    """All of it, as the JSON form prints it.

    Raises:
        ValueError: there is no site, or its database cannot be read.
    """
    paths = HomePaths(home)
    document = _document(paths)
    words, since = Trouble(paths.trouble).read()
    server = str(document.get("deployment", {}).get("server", ""))
    return {
        "format": 1,
        "site": str(document.get("name", "")),
        "server": server,
        "daemon": read_status(paths.run).as_dict(),
        "stream": _stream(paths),
        "supernode": {"reached": _reached(paths), "trouble": words, "since": since},
        "certificate_days": days_left(paths.kit / "site.crt"),
        "disk_free_gb": round(shutil.disk_usage(home).free / 1e9, 1),
        **_kept(paths),
    }


def days_left(certificate: Path) -> int | None:
    """Whole days for which a certificate (PEM) is valid yet, negative after; None without one."""
    try:
        lines = certificate.read_bytes().splitlines()
        block = base64.b64decode(b"".join(line for line in lines if not line.startswith(b"-")))
    except (FileNotFoundError, ValueError):
        return None
    found = _VALIDITY.search(block)  # two times in a row stand in one place of a certificate only
    if found is None:
        return None
    text = found[2].decode()
    form = "%y%m%d%H%M%S" if len(text) == 12 else "%Y%m%d%H%M%S"
    end = datetime.strptime(text, form).replace(tzinfo=UTC)
    return (end - datetime.now(UTC)).days


def _document(paths: HomePaths) -> dict[str, Any]:
    try:
        return tomllib.loads(paths.config.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(
            f"{paths.home}: site.toml is missing; accepted is a site's home, which "
            "`wardround-site init` makes"
        ) from None
    except ValueError:
        raise ValueError(f"{paths.home}: site.toml cannot be read") from None


def _stream(paths: HomePaths) -> dict[str, Any]:
    """What the attendance keeps in `attendance.json`; empty before it was ever started."""
    try:
        content: dict[str, Any] = json.loads(paths.attendance.read_bytes())
    except (OSError, ValueError):
        return {}
    return content


def _reached(paths: HomePaths) -> str:
    try:
        return datetime.fromtimestamp(paths.beat.stat().st_mtime, UTC).isoformat("T", "seconds")
    except FileNotFoundError:
        return ""


def _kept(paths: HomePaths) -> dict[str, Any]:
    """Studies and the audit log, from the database, which is opened for reading only."""
    try:
        with closing(
            sqlite3.connect(f"{paths.database.absolute().as_uri()}?mode=ro", uri=True)
        ) as db:
            return {
                "studies": [_study(db, *row) for row in db.execute(_STUDIES)],
                "audit": _audit(db),
            }
    except sqlite3.Error:
        raise ValueError(f"{paths.home}: site.db cannot be read") from None


def _study(
    db: sqlite3.Connection, identity: str, document: str, standing: str, asked_by: str
) -> dict[str, Any]:
    cycles = [
        {"cycle": cycle, "granted": granted, "readings": readings, "closed": bool(closed)}
        for cycle, granted, readings, closed in db.execute(_CYCLES, (identity,))
    ]
    name = str(json.loads(document).get("name", ""))
    labels = db.execute("SELECT COUNT(*) FROM labels WHERE study = ?", (identity,)).fetchone()[0]
    return {
        "identity": identity,
        "name": name,
        "standing": standing,
        "asked_by": asked_by,
        "labels": labels,
        "cycles": cycles,
    }


def _audit(db: sqlite3.Connection) -> dict[str, Any]:
    head = db.execute("SELECT line, hash FROM audit ORDER BY line DESC LIMIT 1").fetchone()
    signed = db.execute("SELECT MAX(lines), MAX(at) FROM countersigned").fetchone()
    return {
        "lines": head[0] if head else 0,
        "head": head[1] if head else "",
        "countersigned": signed[0] or 0,
        "countersigned_at": signed[1] or "",
    }


def as_text(seen: dict[str, Any], daemon: str) -> str:
    """The same for a person, after what the daemon's own lines say."""
    lines = [f"site {seen['site']}, server {seen['server'] or 'not joined'}", daemon]
    lines += _connection(seen)
    days = seen["certificate_days"]
    lines.append("certificate: none yet" if days is None else f"certificate: {days} days left")
    for study in seen["studies"]:
        by = f", asked by {study['asked_by']}" if study["asked_by"] else ""
        lines.append(f"study {study['identity'][:12]} {study['name']}: {study['standing']}{by}")
        for cycle in study["cycles"]:
            closed = ", closed" if cycle["closed"] else ""
            lines.append(
                f"  cycle {cycle['cycle'] + 1}: {cycle['readings']} readings, "
                f"{cycle['granted']} granted{closed}"
            )
    audit = seen["audit"]
    lines.append(
        f"audit log: {audit['lines']} lines, head {audit['head'][:12] or 'none'}, "
        f"countersigned up to {audit['countersigned']}"
    )
    lines.append(f"disk: {seen['disk_free_gb']} GB free")
    return "\n".join(lines)


def _connection(seen: dict[str, Any]) -> list[str]:
    """How the two ways to the server are."""
    stream, node = seen["stream"], seen["supernode"]
    running = seen["daemon"]["state"] == "running"
    state = stream.get("state", "never started") if running else "not running"
    refusal = f" ({stream['refusal']})" if stream.get("refusal") else ""
    reached = f"reached the server {node['reached']}" if node["reached"] else "never reached it"
    trouble = f"; since {node['since']}: {node['trouble']}" if node["trouble"] else ""
    return [f"stream: {state}{refusal}", f"SuperNode: {reached}{trouble}"]
