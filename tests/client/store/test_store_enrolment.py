"""Who enters a site's database: idempotent, whole or not at all, audit set and pool apart."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import numpy as np
import pytest

from client.keys import SiteKey
from client.site import Arrival, enrol
from client.store.store import SiteStore

Arrive = Callable[..., Arrival]
KEY = SiteKey(b"a secret of one hospital")


def test_enrolment_is_idempotent_and_adds_only_what_is_new(
    tiny_store: SiteStore, arrival: Arrive
) -> None:
    assert enrol(tiny_store, KEY, arrival(6), clustered=True) == 6
    assert enrol(tiny_store, KEY, arrival(6), clustered=True) == 0
    assert enrol(tiny_store, KEY, arrival(8), clustered=True) == 2
    assert tiny_store.cases.pool("s", 0.0, 0).tolist() == list(range(1, 9))
    assert tiny_store.cases.rows(np.array([8, 1])).tolist() == [7, 0]


def test_a_patient_in_two_splits_is_refused_and_nothing_enters(
    tiny_store: SiteStore, arrival: Arrive
) -> None:
    enrol(tiny_store, KEY, arrival(1), clustered=True)  # one of person-0's two cases
    with pytest.raises(ValueError, match="1 patients with cases in two splits") as refused:
        enrol(tiny_store, KEY, arrival(5, "locked", first=1), clustered=True)
    assert "person" not in str(refused.value)
    assert tiny_store.connection.execute("SELECT count(*) FROM cases").fetchone()[0] == 1


def test_enrolment_is_all_or_nothing(tiny_store: SiteStore) -> None:
    wrong = Arrival(["a", "b"], ["p", "q"], ["pool", "nowhere"], [0, 1])
    with pytest.raises(sqlite3.IntegrityError):
        enrol(tiny_store, KEY, wrong, clustered=True)
    ragged = Arrival(["a", "b"], ["p"], ["pool", "pool"], [0, 1])
    with pytest.raises(ValueError, match="zip"):
        enrol(tiny_store, KEY, ragged, clustered=True)
    assert not tiny_store.cases.fact("clustered")
    for table in ("cases", "patients"):
        assert tiny_store.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == 0  # noqa: S608  # fixed names


def test_audit_set_and_pool_share_no_patient_and_late_arrivals_keep_their_side(
    tiny_store: SiteStore, arrival: Arrive
) -> None:
    enrol(tiny_store, KEY, arrival(300, patients=3), clustered=True)
    audit, pool = tiny_store.cases.audit_left("s", 0.25, 0), tiny_store.cases.pool("s", 0.25, 0)
    assert len(audit) + len(pool) == 300
    assert 45 < len(audit) < 105  # 100 patients, a quarter of them: six standard deviations
    people = tiny_store.cases.patients
    assert not set(people(audit).tolist()) & set(people(pool).tolist())
    late = Arrival(
        [f"late-{i}" for i in range(100)], [f"person-{i}" for i in range(100)], ["pool"] * 100,
        range(300, 400),
    )  # fmt: skip
    enrol(tiny_store, KEY, late, clustered=True)
    grown = tiny_store.cases.audit_left("s", 0.25, 0)
    assert set(people(grown).tolist()) == set(people(audit).tolist())
    assert len(grown) == len(audit) * 4 // 3


def test_audit_cases_come_in_an_order_that_enrolment_does_not_set(
    tiny_store: SiteStore, arrival: Arrive
) -> None:
    enrol(tiny_store, KEY, arrival(200), clustered=True)
    order = tiny_store.cases.audit_left("s", 0.5, 0).tolist()
    assert order != sorted(order)
    assert abs(np.corrcoef(order, np.arange(len(order)))[0, 1]) < 0.35
