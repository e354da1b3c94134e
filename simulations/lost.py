"""A run whose sites have lost what its ledger counts cannot go on: its numbers would be false."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from client.home import open_store
from protocol.records import Grant
from protocol.steps import Selected
from protocol.study import Study
from server import account
from server.ledger import Ledger, Stage
from simulations.plan import PlanError


def refuse_lost_sites(run: Path, study: Study, sites: Sequence[str]) -> None:
    """Hold the grants that a run's ledger counts against those that its sites know of.

    A site keeps a grant before the ledger counts it, so an interruption leaves none behind.

    Args:
        run: the run's folder; nothing is wrong where nothing was begun in it.
        study: that it runs.
        sites: all their names.

    Raises:
        PlanError: a site's home is gone, or older than the ledger.
    """
    counted = _counted(run / "ledger.db", study)
    for site in sites:
        known = _known(run / "sites" / site, study, sorted(counted))
        for cycle, grants in sorted(counted.items()):
            if known.get(cycle, 0) < grants.get(site, 0):
                raise PlanError(
                    f"{run / 'sites' / site} has lost what the ledger counts of cycle {cycle + 1} "
                    f"({grants[site]} granted, it knows of {known.get(cycle, 0)}); accepted is the "
                    "run's folder whole, or none, to begin anew"
                )


def _counted(path: Path, study: Study) -> dict[int, dict[str, int]]:
    """For each cycle the grants for which sites said that they had opened cases."""
    try:
        ledger = Ledger.look(path)
    except (FileNotFoundError, sqlite3.OperationalError):  # the latter: killed while it was made
        return {}
    try:
        if ledger.study != study.identity:  # whoever opens it says so
            return {}
        found = {}
        for cycle in range(account.cycles(ledger)):
            opened = ledger.records(Stage(cycle, "select"), Selected) or {}
            shared = ledger.records(Stage(cycle, "allocate"), Grant) or {}
            found[cycle] = {site: shared[site].count for site in opened}
        return found
    finally:
        ledger.close()


def _known(home: Path, study: Study, cycles: Sequence[int]) -> dict[int, int]:
    """For each cycle what a site's store knows of being granted."""
    if not cycles or not (home / "site.db").exists():
        return {}
    store = open_store(home, durable=False)
    try:
        return {cycle: store.readings.granted(study.identity, cycle) for cycle in cycles}
    finally:
        store.close()
