"""Strategies that look at a site's own models, through the steps of a site."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from client import scored_pool
from client.cost import expected_seconds
from client.minutes import PRIOR, expected_minutes
from client.site import Site
from client.steps.outcome import decided, strategy_of
from protocol.records import Arrays, Grant
from protocol.study import Study
from strategies.query import QUERY

Ask = Callable[..., Any]
OWN = sorted(name for name in QUERY if not QUERY[name]().needs.models <= {"global"})


def after_one_cycle(
    ask: Ask, read_cases: Callable[..., int], site: Site, study: Study, arrays: Arrays
) -> Arrays:
    ask(site, study, "report", arrays=arrays)
    ask(site, study, "select", grant=Grant(12, ""))
    read_cases(site.store, study)
    trained: Arrays = ask(site, study, "train", arrays=arrays).arrays
    return trained


@pytest.mark.slow
@pytest.mark.parametrize("name", OWN)
def test_a_cycle_s_signals_and_choice_are_the_same_at_a_site_that_was_interrupted(
    name: str,
    tiny_study: Callable[..., Study],
    tiny_site: Callable[..., Site],
    first_weights: Callable[[Study], Arrays],
    ask: Ask,
    read_cases: Callable[..., int],
    tmp_path: Any,
) -> None:
    study = tiny_study(f"query.strategy={name}")
    chosen = []
    for folder, disturbed in ((tmp_path / "a", False), (tmp_path / "b", True)):
        folder.mkdir()
        site = tiny_site(study, folder=folder)
        arrays = after_one_cycle(ask, read_cases, site, study, first_weights(study))
        if disturbed:  # another site's step has used the same resident model, this one died
            ask(site, study, "evaluate", arrays={k: v * 0 for k, v in arrays.items()})
        ask(site, study, "report", cycle=1, arrays=arrays)
        scored = scored_pool.read(site.home, study.identity, 1)
        assert scored is not None
        assert decided(site, study).query.needs.signals <= set(scored.signals)
        ask(site, study, "select", cycle=1, grant=Grant(8, ""))
        opened = [o.case for o in site.store.readings.opened(study.identity, 1)]
        chosen.append((opened, scored.signals))
    (opened, signals), (again, same) = chosen
    assert opened == again
    assert len(opened) == 8
    assert signals.keys() == same.keys()
    assert all(np.array_equal(signals[k], same[k]) for k in signals)


def test_a_site_without_labels_asks_the_cold_start_further_on(
    tiny_study: Callable[..., Study],
    tiny_site: Callable[..., Site],
    first_weights: Callable[[Study], Arrays],
    ask: Ask,
) -> None:
    study = tiny_study("query.strategy=logo", "query.cold_start=coreset")
    site, arrays = tiny_site(study), first_weights(study)
    assert strategy_of(site, study, 1) is decided(site, study).cold_start
    ask(site, study, "report", cycle=1, arrays=arrays)
    scored = scored_pool.read(site.home, study.identity, 1)
    assert scored is not None
    assert set(scored.signals) == {"probs", "features", "labeled_features"}
    assert ask(site, study, "select", cycle=1, grant=Grant(5, "")).opened == 5


def test_labels_withdrawn_between_report_and_select_leave_the_cold_start_s_signals(
    tiny_study: Callable[..., Study],
    tiny_site: Callable[..., Site],
    first_weights: Callable[[Study], Arrays],
    ask: Ask,
    read_cases: Callable[..., int],
) -> None:
    study = tiny_study("query.strategy=fedal", "query.cold_start=coreset")
    site = tiny_site(study)
    arrays = after_one_cycle(ask, read_cases, site, study, first_weights(study))
    assert strategy_of(site, study, 1) is decided(site, study).query
    ask(site, study, "report", cycle=1, arrays=arrays)
    with site.store.transaction():
        site.store.labels.settle(study.identity, {})
    assert ask(site, study, "select", cycle=1, grant=Grant(5, "")).opened == 5


def test_minutes_are_of_cases_of_the_same_kind_drawn_to_the_site_s_mean(
    tiny_study: Callable[..., Study],
    tiny_site: Callable[..., Site],
    first_weights: Callable[[Study], Arrays],
    ask: Ask,
    read_cases: Callable[..., int],
) -> None:
    study = tiny_study("query.strategy=cost-aware")
    site = tiny_site(study)
    ids = site.store.cases.pool(study.identity, study.audit.patients, 0)
    expected = study.budget.seconds / 60
    assert expected_minutes(site.store, study, ids).tolist() == [expected] * len(ids)
    ask(site, study, "report", arrays=first_weights(study))
    ask(site, study, "select", grant=Grant(12, ""))
    read_cases(site.store, study, seconds=12.0)
    slow = [o.case for o in site.store.readings.opened(study.identity, 0) if o.purpose == "query"]
    put = "INSERT INTO locators VALUES (?, ?, ?, ?, ?, ?)"
    rest = [int(i) for i in ids if int(i) not in slow][:2]
    facts = {**dict.fromkeys(slow[:4], "CT"), rest[0]: "CT", rest[1]: "MR"}
    site.store.connection.executemany(
        put, [(c, b"", "", f'{{"modality": "{kind}"}}', "", "") for c, kind in facts.items()]
    )
    for case in slow[:4]:  # the four CTs took a minute each; no trigger minds a test's own hand
        site.store.connection.execute("DROP TRIGGER IF EXISTS readings_are_never_changed")
        site.store.connection.execute('UPDATE readings SET seconds=60 WHERE "case"=?', (case,))
    mean = expected_seconds(site.store, study)
    ct, mr, unknown = expected_minutes(site.store, study, np.array([*rest, slow[5]])) * 60
    assert ct == pytest.approx((4 * 60 + PRIOR * mean) / (4 + PRIOR))
    assert mr == pytest.approx(mean)
    assert 12 < unknown < mean < ct
