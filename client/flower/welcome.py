"""Nothing private is answered before the server has told what it has signed of this site.

A home that was restored from a copy does not know it: the server's newest countersigned head shows
it, and `Errands.compare` then marks the accounts. The server tells it in its first words to the
attendance stream, which may come later than a step that waits at the SuperNode.
"""

from __future__ import annotations

import json
import logging
import time
from contextlib import closing

from client.paths import HomePaths
from daemons.status import read_status

LOG = logging.getLogger(__name__)
_EVERY = 0.2


def wait_for_welcome(paths: HomePaths) -> None:
    """Return once the server has welcomed it, or where there is nothing that it must be waited for.

    That is a site without a privacy account, and one that no daemon runs.
    """
    from client.home import open_store

    with closing(open_store(paths.home)) as store:
        if not store.privacy.studies():
            return
    told = False
    while not welcomed(paths):
        if not told:
            LOG.warning("waiting for the welcome: by it the server tells whether this is a copy")
            told = True
        time.sleep(_EVERY)


def welcomed(paths: HomePaths) -> bool:
    """Whether the server has welcomed the attendance that runs now; also where no daemon runs."""
    status = read_status(paths.run)
    if status.state != "running":
        return True
    running = next((s.pid for s in status.services if s.name == "attendance"), None)
    try:
        notice = json.loads(paths.attendance.read_bytes())
    except (OSError, ValueError):  # not written yet, or empty since a power cut
        return False
    return running is not None and notice["pid"] == running and bool(notice["heard"])
