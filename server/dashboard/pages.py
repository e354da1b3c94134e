"""What the dashboard's pages say, as plain content: the HTML and its JSON twin are made of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

from protocol.records import CycleRecord, SiteEvaluation, SiteProgress
from protocol.study import Study
from server import account
from server.advice import record, rule_of
from server.gain import gains
from server.home import ServerPaths
from server.ledger import Ledger, Stage
from server.overview import days_left
from server.registry.alarm_shelf import AlarmShelf
from server.registry.presence_shelf import PresenceShelf, Reached
from server.registry.registry import Registry, now
from server.registry.site_shelf import SiteShelf
from server.registry.study_shelf import StudyRow, StudyShelf
from server.study_folder import StudyFolder
from server.summary import summary
from strategies.metrics.combine import as_json, combine
from strategies.metrics.table import METRICS
from strategies.stopping.mute import mute_in

SHOWN = ("auroc", "balanced_accuracy", "log_loss", "brier")
"""Metrics with a column on a study's page; its JSON twin holds all."""


def overview(paths: ServerPaths, identity: str = "") -> dict[str, Any]:
    """Every study and where it stands, the alarms, and how many sites are there."""
    with closing(Registry.open(paths.registry)) as registry:
        there = PresenceShelf(registry.connection).all()
        joined = [s for s in SiteShelf(registry.connection).all() if s.active]
        return {
            "at": _at(),
            "studies": [_row(paths, row) for row in StudyShelf(registry.connection).all()],
            "online": sum(s.name in there and there[s.name].online for s in joined),
            "sites": len(joined),
            "alarms": _alarms(registry),
        }


def sites(paths: ServerPaths, identity: str = "") -> dict[str, Any]:
    """Every site that ever joined: whether it is there, clock, certificate, versions."""
    with closing(Registry.open(paths.registry)) as registry:
        there = PresenceShelf(registry.connection).all()
        rows = []
        for site in SiteShelf(registry.connection).all():
            presence = there.get(site.name)
            rows.append(
                {
                    "number": site.number,
                    "name": site.name,
                    "state": site.state,
                    "online": presence is not None and presence.online,
                    "since": presence.since if presence else "",
                    "heard": presence.heard if presence else "",
                    "node_online": presence.node_online if presence else None,
                    "skew": presence.skew if presence else None,
                    "versions": dict(presence.versions) if presence else {},
                    "days_left": days_left(site.not_after),
                }
            )
        return {"at": _at(), "sites": rows, "alarms": _alarms(registry)}


def study(paths: ServerPaths, identity: str) -> dict[str, Any] | None:
    """One study: sites, cycles with grants and reasons, audit metrics. None: unknown."""
    with closing(Registry.open(paths.registry)) as registry:
        row = StudyShelf(registry.connection).get(identity)
        if row is None:
            return None
        found = _row(paths, row)
        content: dict[str, Any] = {"at": _at(), "study": found, "alarms": _alarms(registry)}
        folder = StudyFolder(paths.studies / row.folder)
        asked = folder.study()
        content["mute"] = mute_in(asked)
        with looked_into(folder) as ledger:
            content["cycles"] = [] if ledger is None else list(_cycles(ledger, asked))
            content["sites"] = _sites(registry, row, found["cycle"], content["cycles"])
            content["names"] = [METRICS[name].label for name in SHOWN]
            content["metrics"] = [] if ledger is None else list(_metrics(ledger, asked))
            content["gains"] = [] if ledger is None else list(_gains(ledger, asked))
        return content


@contextmanager
def looked_into(folder: StudyFolder) -> Iterator[Ledger | None]:
    """The study's ledger, read only; None before its first start."""
    try:
        ledger = Ledger.look(folder.folder / "ledger.db")
    except FileNotFoundError:
        yield None
        return
    with closing(ledger):
        yield ledger


def _row(paths: ServerPaths, row: StudyRow) -> dict[str, Any]:
    return summary(paths.studies / row.folder, row).document()


def _sites(
    registry: Registry, row: StudyRow, cycle: int | None, cycles: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    shelf = PresenceShelf(registry.connection)
    there, stands = shelf.all(), shelf.standings(row.identity)
    told = {} if cycle is None else shelf.progress(row.identity, cycle)
    rows = []
    for name in row.sites:
        own = [g for c in cycles for g in c["grants"] if g["site"] == name]
        now_ = told.get(name, Reached(0, 0, 0, 0, 0.0))
        rows.append(
            {
                "name": name,
                "online": name in there and there[name].online,
                "standing": stands.get(name, ""),
                "granted": sum(g["count"] for g in own),
                "spent": sum(g["spent"] or 0 for g in own),
                "returned": sum(g["returned"] or 0 for g in own),
                "readings": now_.readings,
                "waiting": now_.waiting,
                "minutes": now_.minutes,
            }
        )
    return rows


def _cycles(ledger: Ledger, study: Study) -> Iterator[dict[str, Any]]:
    """Every cycle's grants with their reasons; what was spent stands beside the first of a site."""
    past: list[CycleRecord] = []
    for cycle in range(account.cycles(ledger)):
        told = account.progress(ledger, cycle)
        rows = []
        for site, parts in account.grants(ledger, cycle).items():
            for sequence, grant in enumerate(parts):
                known = told.get(site) if sequence == 0 else None
                rows.append(
                    {
                        "site": site,
                        "sequence": sequence,
                        "count": grant.count,
                        "reason": grant.reason,
                        "spent": known.spent if known else None,
                        "returned": known.returned if known else None,
                    }
                )
        advice = ""
        if told:
            past.append(record(ledger, cycle, told))
            advice = rule_of(study).advise(past)
        yield {"cycle": cycle, "grants": rows, "words": _words(told), "advice": advice}


def _words(told: Mapping[str, SiteProgress]) -> str:
    if not told:
        return "people are reading"
    away = account.held(told)
    held = f"; counted as spent until they are heard again: {', '.join(away)}" if away else ""
    return f"{sum(p.readings for p in told.values())} readings{held}"


def _metrics(ledger: Ledger, study: Study) -> Iterator[dict[str, Any]]:
    """The audit metrics of the first weights and after every cycle, as committed."""
    rounds, spent = study.training.rounds_per_cycle, 0
    stages: list[tuple[int | None, Stage]] = [(None, Stage(0, "evaluate", 0))]
    stages += [(c, Stage(c, "evaluate", rounds)) for c in range(account.cycles(ledger))]
    for cycle, stage in stages:
        if cycle is not None:
            spent += sum(p.spent for p in account.progress(ledger, cycle).values())
        told = ledger.records(stage, SiteEvaluation) or {}
        parts = {site: e.audit for site, e in told.items() if e.audit is not None}
        if parts:
            metrics = as_json(combine(parts, study.task))
            cells = [_cell(metrics["pooled"].get(name)) for name in SHOWN]
            told_open = {"open": _open(metrics)}
            yield {"cycle": cycle, "spent": spent, "cells": cells, **told_open, **metrics}


def _gains(ledger: Ledger, study: Study) -> Iterator[dict[str, Any]]:
    """What each comparison with asking at random says."""
    for found in gains(ledger, study):
        yield found.document()


def _open(metrics: Mapping[str, Any]) -> str:
    """The audit cases that stayed open, and what decisions are worth with them."""
    cases, left = metrics["cases"], metrics["unsettled"]
    words = f"{left} of {cases + left}"
    low, high = metrics["bounds"]["accuracy"][1:]
    return f"{words} (accuracy {low:.3f} to {high:.3f})" if left else words


def _cell(value: list[float | None] | None) -> str:
    if value is None or value[0] is None or math.isnan(value[0]):
        return "not estimable"
    low, high = value[1], value[2]
    if low is None or high is None:
        return f"{value[0]:.3f}"
    return f"{value[0]:.3f} ({low:.3f} to {high:.3f})"


def _alarms(registry: Registry) -> list[dict[str, str]]:
    return [
        {"at": a.at, "site": a.site, "kind": a.kind, "words": a.words}
        for a in AlarmShelf(registry.connection).standing()
    ]


def _at() -> str:
    return now()[:19].replace("T", " ")
