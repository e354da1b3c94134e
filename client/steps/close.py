"""The close step: a cycle's grant takes no further reading; what became of it is told."""

from __future__ import annotations

from client.privacy.progress import told_progress
from client.privacy.spending import reserve
from client.site import Site
from client.store.store import now
from protocol.records import SiteProgress, StepKey
from protocol.study import Study


def close(site: Site, study: Study, cycle: int) -> SiteProgress:
    """The final progress of a cycle, closed now or before; also where the site had no grant.

    What was open and not read goes back to the pool with the next cycle.
    """
    key = StepKey(study.identity, cycle, "close")
    reserve(site, study, key)
    with site.store.transaction():
        site.store.cycles.close(study.identity, cycle, now())
        site.store.privacy.release(key, "done")
    return told_progress(site.store, study, cycle, site.name)
