"""The PrivacyAccount: hand-checked sums, a filter that holds, charges that no kill can lose."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.home import HomeConfig, make_home
from client.keys import SiteKey
from client.learning.networks import initial_arrays
from client.opening import open_home
from client.privacy import spending
from client.privacy.account import OverBudget, PrivacyAccount, Wanted, recomputed
from client.privacy.accounting import (
    ORDERS,
    Cost,
    epsilon,
)
from client.privacy.lost import forgot
from client.privacy.words import document, text
from client.site import Arrival, Site, enrol
from protocol.codec import digest
from protocol.privacy import training_part
from protocol.records import Grant, SiteEvaluation, SiteReport, SiteUpdate, StepKey
from protocol.steps import Code, Reply, Selected, StepRequest
from protocol.study import Study, parse
from strategies.private import CONDITIONAL

CLASSES = [{"name": "a", "definition": "a"}, {"name": "b", "definition": "b"}]


def _study(**tables: object) -> Study:
    return parse(
        {
            "schema": 1,
            "name": "private",
            "task": {"classes": CLASSES, "image": [1, 8, 8]},
            "network": {"name": "tiny-cnn"},
            "training": {"start": "warm", "rounds_per_cycle": 2, "min_steps": 2, "max_steps": 4},
            "query": {"strategy": "entropy"},
            "budget": {"total": 24, "per_cycle": 12},
            "privacy": {"epsilon": 4.0},
        }
        | tables
    )


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A simulated site with 60 patients of two images each."""
    home = tmp_path / "north"
    images = np.random.default_rng(1).integers(0, 256, (120, 1, 8, 8), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    make_home(
        home,
        HomeConfig(
            name="north", number=0, images="../images.npy", durable=False, allow_import=True
        ),
    )
    opened = open_home(home)
    names = [f"case {i}" for i in range(120)]
    arrival = Arrival(names, [f"p{i // 2}" for i in range(120)], ["pool"] * 120, range(120))
    enrol(opened.store, SiteKey(b"k" * 32), arrival, clustered=True)
    yield opened
    opened.store.close()


def _approved(site: Site, study: Study) -> None:
    with site.store.transaction():
        site.store.steps.approve(study, digest(initial_arrays(study)))


def _ask(
    site: Site, study: Study, step: str, cycle: int = 0, round_: int = 0, grant: int | None = None
) -> Reply:
    from client.dispatch import answer

    arrays = initial_arrays(study) if step in ("report", "train", "evaluate") else {}
    given = None if grant is None else Grant(grant, "words")
    key = StepKey(study.identity, cycle, step, round_)
    return answer(site, StepRequest(key, 1, arrays, given))


@pytest.mark.slow
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    asked=st.lists(
        st.tuples(st.floats(0.3, 50), st.floats(0.01, 1), st.integers(1, 200)), max_size=12
    ),
    budget=st.floats(0.1, 10),
)
def test_privacy_account_the_filter_holds_whatever_is_asked_next(
    site: Site, asked: list[tuple[float, float, int]], budget: float
) -> None:
    study = _study(
        name=f"x{abs(hash((budget, tuple(asked)))) % 10**9}", privacy={"epsilon": budget}
    )
    _approved(site, study)
    assert study.privacy is not None
    account = PrivacyAccount(site.store, study.identity, study.privacy)
    costs = dict.fromkeys(ORDERS, 0.0)
    for i, (noise, share, steps) in enumerate(asked):
        # the adversary looks at what is left and asks for just that, or for more
        cost = Cost("dp-sgd", noise, share, steps)
        try:
            account.reserve(StepKey(study.identity, 0, "train", i), [Wanted("training", "t", cost)])
        except OverBudget:
            continue
        costs = {a: v + cost.rdp(a) for a, v in costs.items()}
    assert account.epsilon("training") <= budget * (1 + 1e-6)
    delta = account.opened().delta
    assert min(epsilon(v, a, delta) for a, v in costs.items()) <= budget * (1 + 1e-6)
    rows = site.store.privacy.all(study.identity)
    again = recomputed(rows, account.opened().order)["training"]
    assert again == pytest.approx(site.store.privacy.spent(study.identity, "training"))


def test_privacy_account_a_whole_cycle_is_charged_and_stays_within_the_budget(site: Site) -> None:
    study = _study()
    _approved(site, study)
    report = _ask(site, study, "report")
    assert isinstance(report, SiteReport)
    assert (report.labeled, set(report.predicted), report.prequential_count) == (0, {0}, 0)
    assert 20 < report.pool < 85  # of patients, 51 or so, with noise; not of the 102 cases
    assert isinstance(selected := _ask(site, study, "select", grant=12), Selected)
    assert selected.opened == 12
    for round_ in range(2):
        update = _ask(site, study, "train", round_=round_)
        assert isinstance(update, SiteUpdate)  # nobody has read a case: noise leaves all the same
        assert (update.weight, update.loss) == (10.0, 0.0)
        start = initial_arrays(study)
        assert any(not np.array_equal(update.arrays[k], start[k]) for k in start)
    assert isinstance(_ask(site, study, "evaluate", round_=2), SiteEvaluation)
    told = spending.account_of(site.store, study)
    assert told is not None
    assert 0 < told.epsilon("training") < 4
    assert all(c.released for c in site.store.privacy.all(study.identity))
    words = document(told, study)
    assert words["scopes"]["training"]["spent"] == pytest.approx(
        words["scopes"]["training"]["recomputed"]
    )
    assert CONDITIONAL in text(words)
    assert "patients of the pool, given the chosen cases:" in text(words)


def test_privacy_account_a_repeated_message_sends_the_same_bytes_and_charges_nothing(
    site: Site,
) -> None:
    study = _study()
    _approved(site, study)
    first = _ask(site, study, "report")
    rows = site.store.privacy.all(study.identity)
    assert _ask(site, study, "report") == first
    assert site.store.privacy.all(study.identity) == rows


def test_privacy_account_a_step_that_dies_after_its_charge_keeps_it_and_uses_it_once(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    from client import dispatch

    study = _study()
    _approved(site, study)
    _ask(site, study, "report")
    _ask(site, study, "select", grant=12)
    before = site.store.privacy.spent(study.identity, "training")

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setitem(dispatch.STEPS, "train", dies)  # a kill
        with pytest.raises(KeyboardInterrupt):
            _ask(site, study, "train")
    spent = site.store.privacy.spent(study.identity, "training")
    (charge,) = site.store.privacy.of_step(StepKey(study.identity, 0, "train"))
    assert spent > before
    assert not charge.released
    assert isinstance(_ask(site, study, "train"), SiteUpdate)
    assert site.store.privacy.spent(study.identity, "training") == spent
    assert site.store.privacy.of_step(StepKey(study.identity, 0, "train"))[0].released


def test_privacy_account_an_overdraw_is_refused_before_any_data_is_read(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = _study(privacy={"epsilon": 1.0, "noise": 0.5})
    _approved(site, study)
    _ask(site, study, "report")
    _ask(site, study, "select", grant=12)
    monkeypatch.setattr(
        type(site.store.labels), "settled", lambda *_: pytest.fail("labels were read")
    )
    rows = site.store.privacy.all(study.identity)
    with pytest.raises(OverBudget) as refused:
        _ask(site, study, "train")
    assert refused.value.code is Code.OVER_BUDGET
    assert site.store.privacy.all(study.identity) == rows


def test_privacy_account_rows_are_never_changed_or_deleted(site: Site) -> None:
    study = _study()
    _approved(site, study)
    _ask(site, study, "report")
    for sql in ("UPDATE privacy_charges SET rdp = 0", "DELETE FROM privacy_charges"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            site.store.connection.execute(sql)


def test_privacy_account_a_restored_copy_charges_what_it_forgot_before_anything_leaves(
    site: Site,
) -> None:
    study = _study()
    _approved(site, study)
    _ask(site, study, "report")
    with site.store.transaction():
        forgot(site.store)  # the server has signed more than this log holds
    _ask(site, study, "select", grant=12)
    account = spending.account_of(site.store, study)
    assert account is not None
    before = site.store.privacy.spent(study.identity, "training")
    with site.store.transaction():
        forgot(site.store)
    _ask(site, study, "train", round_=1)  # round 0 was answered by what was lost
    rows = [c for c in site.store.privacy.all(study.identity) if c.mechanism == "restored"]
    training = [c for c in rows if c.scope == "training" and c.rdp > 0]
    lost = 0.9 * account.room() * 2 / 6  # two rounds of weight 1, of which two of weight 2 follow
    assert training[-1].rdp == pytest.approx(lost)
    assert site.store.privacy.spent(study.identity, "training") >= before + lost
    assert account.epsilon("training") <= 4.0 + 1e-6


def test_privacy_account_a_copy_older_than_its_study_charges_what_it_never_knew(
    site: Site,
) -> None:
    with site.store.transaction():
        forgot(site.store)
    study = _study()
    _approved(site, study)  # anew: the copy has no account of it
    _ask(site, study, "report", cycle=1)
    rows = [c for c in site.store.privacy.all(study.identity) if c.mechanism == "restored"]
    lost = {c.scope: c.rdp for c in rows}
    account = spending.account_of(site.store, study)
    assert account is not None
    room = account.room()  # two reports, and both rounds of the first of two cycles: 1/6 and 1/6
    assert lost["training"] == pytest.approx(0.1 * room + 0.9 * room * 2 / 6)
    assert lost["audit"] == pytest.approx(room * 2 / 3)  # before the first cycle and after it
    _ask(site, study, "select", cycle=1, grant=12)
    again = [c for c in site.store.privacy.all(study.identity) if c.mechanism == "restored"]
    assert again == rows  # once


def test_privacy_account_rounds_share_out_what_is_left_by_their_labels() -> None:
    study = _study()  # two cycles of two rounds, 12 and 24 readings
    assert training_part(study.budget, 2, [(0, 0)]) == pytest.approx(1 / 6)
    assert training_part(study.budget, 2, [(0, 1)]) == pytest.approx(1 / 5)
    assert training_part(study.budget, 2, [(1, 0)]) == pytest.approx(1 / 2)
    assert training_part(study.budget, 2, [(0, 1), (1, 0)]) == pytest.approx(3 / 5)
    assert training_part(study.budget, 2, [(1, 1)]) == 1.0
    assert training_part(study.budget, 2, [(7, 1)]) == 1.0


def test_privacy_account_the_audit_log_carries_the_total(site: Site) -> None:
    study = _study()
    _approved(site, study)
    _ask(site, study, "report")
    row = site.store.connection.execute(
        "SELECT words FROM audit WHERE event = 'charged' ORDER BY line DESC"
    ).fetchone()
    spent = site.store.privacy.spent(study.identity, "training")
    assert f"training {spent:.9g}" in row[0]
