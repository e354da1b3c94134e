"""The select step: open cases for reading, audit cases among them; tell only how many."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Literal

import numpy as np

from client import scored_pool
from client.asked import check_grant
from client.cost import expected_seconds, spent
from client.privacy.chance import chance, rehearsal
from client.privacy.patients import sampled
from client.site import Site
from client.steps.opinions import opinions
from client.steps.outcome import Outcome, decided, strategy_of
from client.store.reading_shelf import Opening
from client.store.step_shelf import StepRefused
from protocol.records import Indices, StepKey
from protocol.seeds import Purpose as Stream
from protocol.seeds import generator
from protocol.steps import Code, Selected, StepRequest
from protocol.study import Study
from strategies.pool import Pool
from strategies.private import composes
from strategies.query.strategy import checked

_SPARE = 2
"""In a budget of minutes, open this many times the cases expected, lest fast readers run dry."""


def select(site: Site, study: Study, request: StepRequest) -> Outcome:
    """Choose audit cases at random, some exploration cases at random, the rest by the strategy.

    The strategy's choice stays in its order, most wanted first; the others are mixed in at random
    places, so that a reader cannot tell them apart and a grant cut short loses a bit of each.
    """
    key, grant = request.key, request.grant
    if grant is None:
        raise StepRefused(Code.BAD_REQUEST, "a select step without a grant")
    if site.store.cycles.closed(key.study, key.cycle):  # a message that was long under way
        raise StepRefused(Code.CONFLICT, f"a grant for cycle {key.cycle + 1}, which is closed")
    check_grant(site.store, study, key, grant)
    count = grant.count
    openings = _openings(site, study, key, count)
    said = opinions(site, study, key, openings)

    def write() -> None:
        gone = site.store.practice.kept_apart([o.case for o in openings])  # while it was chosen
        there = [o for o in openings if o.case not in gone]
        site.store.readings.grant(key.study, key.cycle, key.sequence, count)
        site.store.readings.open(key.study, key.cycle, there)
        site.store.opinions.put(key.study, key.cycle, [o for o in said if o.case not in gone])

    told = count if study.privacy is not None else len(openings)  # as many as the server knows
    return Outcome(Selected(site.name, told), write)


def _openings(site: Site, study: Study, key: StepKey, count: int) -> list[Opening]:
    cases = _spare(study) * _cases(site, study, count)
    due = _due(site, study, key, count)
    explore = due(study.budget.exploration * (1 - study.audit.grant), "explore")
    left = site.store.cases.audit_left(key.study, study.audit.patients, key.cycle)
    audits = min(due(study.audit.grant, "audit"), cases)
    if not composes(study):
        audits = min(audits, len(left))
    wanted, extra = _training(site, study, key, cases - audits, explore)
    audit = [Opening(int(case), "audit") for case in left[: cases - len(wanted) - len(extra)]]
    mixed = _mix(wanted, [*audit[:audits], *extra], _rng(site, study, key, Stream.AUDIT))
    if composes(study):  # as many audit cases as the grant says, however many patients there are
        return mixed
    return [*mixed, *audit[audits:]]  # these fill what an exhausted pool leaves of the grant


def _due(
    site: Site, study: Study, key: StepKey, count: int
) -> Callable[[float, Literal["audit", "explore"]], int]:
    """How many cases of a share of the grants are still to be opened for a purpose.

    Where the choice is covered that follows from the grants alone: else audit patients, and how
    the readers got on, would move how many cases are trained on.
    """
    store, spare = site.store, _spare(study)
    here = store.readings.granted(key.study, key.cycle)
    if composes(study):
        here += sum(store.readings.granted(key.study, cycle) for cycle in range(key.cycle))
        had, all_ = (_cases(site, study, units) for units in (here, here + count))
        return lambda share, purpose: spare * (_share(share, all_) - _share(share, had))
    before = sum(spent(store, study, cycle) for cycle in range(key.cycle))
    paid = _cases(site, study, before + here + count)

    def due(share: float, purpose: Literal["audit", "explore"]) -> int:
        read = store.readings.read_for(key.study, purpose)
        waiting = store.readings.open_for(key.study, key.cycle, purpose)
        return max(0, spare * (_share(share, paid) - read) - waiting)

    return due


def _training(
    site: Site, study: Study, key: StepKey, count: int, explore: int
) -> tuple[list[Opening], list[Opening]]:
    """The strategy's choice, and exploration cases: drawn first, at random from the whole pool.

    Drawn from what the strategy left they would lack the cases that the model is least sure of,
    and the prequential loss would look too small.
    """
    scored = scored_pool.read(site.home, key.study, key.cycle)
    if scored is None:
        raise StepRefused(Code.BAD_REQUEST, "a select step before its report step")
    ids = site.store.cases.pool(key.study, study.audit.patients, key.cycle)
    if composes(study):
        ids = _one_each(site, study, key, ids)
    ids, pool = scored.pool(ids, multi_label=study.task.multi_label)
    count = min(count, pool.size)
    explore = min(explore, count)
    random = _rng(site, study, key, Stream.EXPLORE).choice(pool.size, explore, replace=False)
    wanted = _asked(site, study, key, pool, count)
    chosen = wanted[~np.isin(wanted, random)][: count - explore]

    def openings(rows: Indices, purpose: Literal["query", "explore"]) -> list[Opening]:
        probs = pool.require("probs")
        return [Opening(int(ids[i]), purpose, tuple(probs[i].tolist())) for i in rows]

    return openings(chosen, "query"), openings(random, "explore")


def _asked(site: Site, study: Study, key: StepKey, pool: Pool, count: int) -> Indices:
    """The strategy's choice, checked: what lacked would be filled up with audit cases unseen.

    Raises:
        ValueError: it is not that many distinct rows of the pool.
    """
    strategy = strategy_of(site, study, key.cycle)
    rows: object = strategy.select(pool, count, _rng(site, study, key, Stream.QUERY))
    try:
        return checked(rows, count, pool.size)
    except ValueError as error:
        cold = strategy is decided(site, study).cold_start
        name = study.query.cold_start if cold else study.query.strategy
        said = f"query.{'cold_start' if cold else 'strategy'} = {name!r}"
        raise ValueError(f"{said}: {error}") from None


def _one_each(site: Site, study: Study, key: StepKey, ids: Indices) -> Indices:
    """One random case of every patient of whom none was opened before in the study.

    So one patient more displaces one other at most, however many images there are of each.
    """
    cases, opened = site.store.cases, site.store.readings.opened
    before = [o.case for c in range(key.cycle + 1) for o in opened(key.study, c, probs=False)]
    known = cases.patients(np.array(before, dtype=np.int64))
    left = ids[~np.isin(cases.patients(ids), known)]
    return left[sampled(cases.patients(left), 1.0, chance(site, study, key, Stream.ONE_EACH))]


def _mix(kept: list[Opening], aside: list[Opening], rng: np.random.Generator) -> list[Opening]:
    """Both lists in one: the first in its order, the second at random places in random order."""
    total = len(kept) + len(aside)
    places = set(rng.choice(total, size=len(aside), replace=False).tolist())
    first, second = iter(rng.permutation(len(aside)).tolist()), iter(kept)
    return [aside[next(first)] if i in places else next(second) for i in range(total)]


def _cases(site: Site, study: Study, count: int) -> int:
    """How many cases a grant is for: the readings it pays, over those that a case takes.

    Where the choice is covered a reading takes what the study says, however long they took.
    """
    readings: float = count
    if study.budget.unit == "minutes":
        one = study.budget.seconds if composes(study) else expected_seconds(site.store, study)
        readings = count * 60 / one
    return math.ceil(readings / study.reading.readings_per_case)


def _spare(study: Study) -> int:
    return _SPARE if study.budget.unit == "minutes" else 1


def _share(share: float, cases: int) -> int:
    return math.floor(share * cases + 0.5)


def _rng(site: Site, study: Study, key: StepKey, purpose: Stream) -> np.random.Generator:
    if composes(study) and not rehearsal(site):  # the server knows the study's seed
        return np.random.default_rng(int.from_bytes(os.urandom(32)))
    cold = key.cycle == 0 and purpose is Stream.QUERY
    return generator(
        study.seed, site.number, key.cycle, key.sequence, Stream.COLD_START if cold else purpose
    )
