"""What an auditor is told: whether the log is whole, its lines in words, how much was read.

No image, no answer, no opinion of a model, and no key of a case: the log has none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from client.audit import people
from client.audit.chain import Line, matching
from client.audit.heads import public_key
from client.audit.report import names_of
from client.audit.verify import sentence, verify
from client.audit.wording import in_words
from client.paths import HomePaths
from client.room.forms import Audited
from client.site import Site
from client.store.reader_shelf import Account

MOST = 200
"""Lines at a time, the newest first."""

_PEOPLE = "salt != '' AND event {} IN ('" + "', '".join(people.AT_A_CASE) + "')"
_KINDS: Mapping[str, str] = {
    "": "1",
    "cases": _PEOPLE.format(""),
    "people": f"({_PEOPLE.format('NOT')} OR event = '{people.REFUSED}')",
    "left": "event = 'left'",
    "refused": "event = 'refused'",
    "decided": f"plane = 'site' AND salt = '' AND event NOT IN ('refused', '{people.REFUSED}')",
}


def audited(site: Site, who: Account, form: Audited) -> dict[str, Any]:
    """The log's state, its newest lines of a day and a kind, and how much was read."""
    names = names_of(site.store)
    found = matching(site.store, _KINDS[form.kind], form.day, form.before)
    return {
        "format": 1,
        "chain": _chain(site),
        "lines": [_told(line, names) for line in islice(found, MOST)],
        "read": _read(site, names),
    }


def _chain(site: Site) -> dict[str, Any]:
    file = HomePaths(site.home).kit / "heads.pub"
    key = public_key(file) if file.exists() else None
    verdict = verify(site.store, site.name, key)
    told = sentence(verdict, asked=False, why="the server is asked by wardround-site audit verify")
    return {
        "whole": verdict.whole,
        "lines": verdict.lines,
        "countersigned": verdict.verified,
        "words": list(told),
    }


def _told(line: Line, names: Mapping[str, str]) -> dict[str, Any]:
    return {"line": line.line, "at": line.at, "words": in_words(line, names)}


def _read(site: Site, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Readings and their minutes by study and cycle, of all readers together."""
    rows = []
    for study, name in names.items():
        newest = site.store.cycles.newest(study)
        for cycle in range(0 if newest is None else newest + 1):
            count, seconds = site.store.readings.spent(study, cycle)
            minutes = round(seconds / 60, 1)
            rows.append({"study": name, "cycle": cycle, "readings": count, "minutes": minutes})
    return rows
