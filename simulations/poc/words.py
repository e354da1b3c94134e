"""What `wardround poc` says in the end, and how it fits a study to the number of sites."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from protocol.study import load
from simulations.poc.poc import Ended


def per_site(file: Path, sites: int) -> list[str]:
    """Overrides that give each of `sites` sites what the study file gives each of its own."""
    study = load(file)
    count, budget = study.simulation.sites, study.budget
    wanted = {"total": budget.total, "first": budget.first, "per_cycle": budget.per_cycle}
    scaled = {k: -(-v * sites // count) for k, v in wanted.items() if v is not None}
    return [
        f"simulation.sites={sites}",
        *(f"budget.{key}={value}" for key, value in scaled.items()),
    ]


def document(ended: Ended) -> dict[str, Any]:
    """The end as JSON."""
    return {
        "format": 1,
        "state": ended.state,
        "seconds": round(ended.seconds, 1),
        "study": ended.study,
        "audits": ended.audits,
        "exported": ended.exported,
    }


def lines(ended: Ended) -> list[str]:
    """The end in lines for people."""
    audits = [f"{site}: {said}" for site, said in ended.audits.items()]
    return [
        f"study {ended.study['name']} {ended.state} after {ended.seconds:.0f} s, "
        f"{ended.study['spent']} readings",
        *audits,
    ]
