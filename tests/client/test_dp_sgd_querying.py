"""Querying under privacy: who is chosen moves by one, the threshold is noisy, both are charged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from client import scored_pool
from client.home import HomeConfig, make_home
from client.keys import SiteKey
from client.learning.networks import initial_arrays
from client.opening import open_home
from client.privacy.account import recomputed
from client.privacy.accounting import Cost, gaussian, noise_for, subsampled, swapped
from client.privacy.statistics import private_threshold
from client.privacy.words import document, plan_words
from client.scored_pool import ScoredPool
from client.site import Arrival, Site, enrol
from client.store.step_shelf import StepRefused
from protocol.codec import digest
from protocol.records import Grant, SiteUpdate, StepKey
from protocol.seeds import Purpose, generator
from protocol.steps import Code, Reply, StepRequest
from protocol.study import Study, StudyError, parse
from strategies.chosen import decisions
from strategies.pool import Pool
from strategies.private import CONDITIONAL, COVERED, composes, rule_of
from strategies.query import QUERY
from strategies.query.threshold_random import ThresholdRandom

CLASSES = [{"name": "a", "definition": "a"}, {"name": "b", "definition": "b"}]
PATIENTS, EACH = 40, 3


def _study(**tables: object) -> Study:
    return parse(
        {
            "schema": 1,
            "name": "covered",
            "task": {"classes": CLASSES, "image": [1, 8, 8]},
            "network": {"name": "mlp", "hidden": [4]},
            "training": {"start": "warm", "rounds_per_cycle": 1, "min_steps": 2, "max_steps": 2},
            "query": {"strategy": "threshold-random", "cold_start": "random"},
            "budget": {"total": 24, "per_cycle": 8},
            "audit": {"patients": 0.0, "grant": 0.0},
            "privacy": {"epsilon": 8.0, "querying": "covered"},
        }
        | tables
    )


def _open(home: Path, study: Study) -> Site:
    n = PATIENTS * EACH
    images = np.random.default_rng(1).integers(0, 256, (n, 1, 8, 8), dtype=np.uint8)
    home.parent.mkdir(exist_ok=True)
    np.save(home.parent / "images.npy", images)
    config = HomeConfig(
        name="north", number=0, images="../images.npy", durable=False, allow_import=True
    )
    make_home(home, config)
    opened = open_home(home)
    names = [f"case {i}" for i in range(n)]
    arrival = Arrival(names, [f"p{i // EACH}" for i in range(n)], ["pool"] * n, range(n))
    enrol(opened.store, SiteKey(b"k" * 32), arrival, clustered=True)
    with opened.store.transaction():
        opened.store.steps.approve(study, digest(initial_arrays(study)))
    return opened


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    opened = _open(tmp_path / "north", _study())
    yield opened
    opened.store.close()


def _ask(site: Site, study: Study, step: str, cycle: int = 0, grant: int | None = None) -> Reply:
    from client.dispatch import answer

    arrays = initial_arrays(study) if step in ("report", "train") else {}
    given = None if grant is None else Grant(grant, "words")
    return answer(site, StepRequest(StepKey(study.identity, cycle, step), 1, arrays, given))


def _report(study: Study, cycle: int) -> StepKey:
    return StepKey(study.identity, cycle, "report")


def test_privacy_account_a_swap_costs_what_a_gaussian_of_twice_the_length_does_and_no_less() -> (
    None
):
    for order in (2.0, 4.5, 16.0):
        # without sampling the exact divergence of a swap is that of sensitivity 2
        assert swapped(1.0, 3.0, order) >= gaussian(3.0 / 2, order)
        assert swapped(1.0, 3.0, order) < 1.6 * gaussian(3.0 / 2, order) * order / (order - 1)
        assert swapped(0.1, 2.0, order) > 2 * subsampled(0.1, 2.0, order)
    plain, covered = (noise_for(1.0, 0.2, 100, 4.0, m) for m in ("dp-sgd", "dp-sgd-swap"))
    assert 1.5 * plain < covered < 3 * plain
    assert Cost("dp-sgd-swap", covered, 0.2, 100).rdp(4.0) <= 1.0


def test_threshold_random_takes_cases_above_the_threshold_first_and_at_random() -> None:
    p = np.linspace(0.5, 1.0, 40)
    entropies = -(p * np.log2(p) + (1 - p) * np.log2(np.maximum(1 - p, 1e-300)))
    threshold = float(np.quantile(entropies, 0.75))
    signals = {"probs": np.stack([p, 1 - p], axis=1), "threshold": np.array([threshold])}
    chosen = [
        ThresholdRandom().select(Pool(40, signals), 5, np.random.default_rng(seed))
        for seed in range(300)
    ]
    often = np.bincount(np.concatenate(chosen), minlength=40)
    assert often[10:].sum() == 0  # the ten flattest reach it
    assert often[:10].min() > 100  # 150 each, by chance
    more = ThresholdRandom().select(Pool(40, signals), 15, np.random.default_rng(0))
    assert set(more[:10]) == set(range(10))


def test_threshold_random_one_case_more_displaces_at_most_one() -> None:
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(3), 50)
    numbers = rng.random(50)

    class Same(np.random.Generator):
        """A case draws the same number whoever else is there."""

        def random(self, size: int) -> np.ndarray:  # type: ignore[override]  # the one call that is made
            return numbers[:size]

    def chosen(n: int) -> set[int]:
        signals = {"probs": probs[:n], "threshold": np.array([0.6])}
        same = Same(np.random.PCG64(0))
        return set(ThresholdRandom().select(Pool(n, signals), 12, same).tolist())

    for n in range(20, 50):
        less, more = chosen(n), chosen(n + 1)
        assert len(less - more) <= 1
        assert more - less <= {n}


def test_privacy_account_threshold_is_charged_noisy_and_near_the_wanted_rank(site: Site) -> None:
    study = _study()
    for cycle in (0, 1):
        _ask(site, study, "report", cycle)
    assert not any("uncertainty" in c.what for c in site.store.privacy.of_step(_report(study, 0)))
    key = _report(study, 1)
    (charge,) = [c for c in site.store.privacy.of_step(key) if "uncertainty" in c.what]
    assert charge.mechanism == "gaussian"
    opened = site.store.privacy.account(study.identity)
    assert opened is not None
    assert charge.rdp == pytest.approx(gaussian(charge.noise, opened.order))
    scored = scored_pool.read(site.home, study.identity, 1)
    assert scored is not None
    assert scored.signals["threshold"].shape == (1,)
    ids = site.store.cases.pool(study.identity, 0.0, 1)
    even = ScoredPool(study.identity, 1, ids)
    uncertain = np.linspace(0, 1, len(ids))
    told = []
    for number in range(60):
        other = replace(site, number=number)  # a simulated site's noise comes from its number
        told.append(private_threshold(other, study, even, uncertain, 0.25))
    assert len(set(told)) > 3
    assert abs(float(np.median(told)) - 0.75) < 0.25
    assert all(t * 64 == int(t * 64) for t in told)


def test_privacy_account_a_covered_study_opens_one_case_of_a_patient_and_pays_for_swaps(
    site: Site,
) -> None:
    study = _study()
    patients: list[int] = []
    for cycle in range(3):
        _ask(site, study, "report", cycle)
        _ask(site, study, "select", cycle, 8)
        opened = [o.case for o in site.store.readings.opened(study.identity, cycle)]
        assert len(opened) == 8
        patients += site.store.cases.patients(np.array(opened)).tolist()
    assert len(set(patients)) == 24
    assert isinstance(_ask(site, study, "train", 2), SiteUpdate)
    charges = site.store.privacy.all(study.identity)
    (trained,) = [c for c in charges if c.step == "train"]
    assert trained.mechanism == "dp-sgd-swap"
    order = site.store.privacy.account(study.identity)
    assert order is not None
    again = recomputed(charges, order.order)
    assert again["training"] == pytest.approx(sum(c.rdp for c in charges if c.scope == "training"))


@pytest.mark.parametrize("unit", ["readings", "minutes"])
def test_privacy_account_how_many_train_in_a_covered_study_follows_from_the_grants_alone(
    site: Site, unit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else an audit patient, or a reader's pace, would move it, and nothing is charged for that."""
    monkeypatch.setattr("client.steps.select.expected_seconds", lambda *_: 20.0)
    budget = {"total": 48, "per_cycle": 16, "unit": unit, "seconds": 60.0}
    study = _study(budget=budget, audit={"patients": 0.02, "grant": 0.5})
    with site.store.transaction():
        site.store.steps.approve(study, digest(initial_arrays(study)))
    assert len(site.store.cases.audit_left(study.identity, 0.02, 0)) < 8
    _ask(site, study, "report", 0)
    _ask(site, study, "select", 0, 16)
    opened = site.store.readings.opened(study.identity, 0)
    assert sum(o.purpose != "audit" for o in opened) == (8 if unit == "readings" else 16)


def test_privacy_account_the_words_say_what_covers_and_what_does_not(site: Site) -> None:
    covered, given = _study(), _study(privacy={"epsilon": 8.0})
    assert composes(covered)
    assert not composes(given)
    assert any(COVERED in w for w in plan_words(covered))
    assert any(CONDITIONAL in w for w in plan_words(given))
    from client.privacy.spending import account_of

    account = account_of(site.store, covered)
    assert account is not None
    assert document(account, covered)["querying"] == "covered"
    for name in QUERY:
        alone = "displaces at most one other" in rule_of(name)
        assert alone == (name in ("random", "threshold-random"))


@pytest.mark.parametrize("strategy", ["entropy", "badge"])
def test_dp_sgd_a_strategy_that_looks_at_all_cases_is_refused_where_the_choice_is_covered(
    strategy: str,
) -> None:
    for query in ({"strategy": strategy}, {"strategy": "random", "cold_start": strategy}):
        with pytest.raises(StudyError, match=f"query.*'{strategy}': it looks at all cases"):
            decisions(_study(query=query))
    decisions(_study(query={"strategy": "threshold-random", "cold_start": "random"}))


def test_threshold_random_refuses_a_share_of_nothing() -> None:
    for share in (0.0, 1.0):
        with pytest.raises(ValueError, match="accepted is above 0"):
            ThresholdRandom(share)


def test_dp_sgd_augmentation_is_drawn_as_secretly_as_patients_are(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that knew the draws would see one patient more shift those of all behind it."""
    from client.privacy import training

    drawn: list[int] = []
    monkeypatch.setattr(
        training, "train_privately", lambda *given: drawn.append(int(given[-1].integers(2**62)))
    )
    for place, durable in (("simulated", False), ("hospital", True)):
        for name in "ab":
            study = _study(name=f"{place}-{name}", privacy={"epsilon": 8.0})
            with site.store.transaction():
                site.store.steps.approve(study, digest(initial_arrays(study)))
            mine = replace(site, durable=durable)
            _ask(mine, study, "report")
            _ask(mine, study, "select", grant=8)
            _ask(mine, study, "train")
    seeded = int(generator(0, 0, 0, 0, Purpose.TRAIN).integers(2**62))
    assert [number == seeded for number in drawn] == [True, True, False, False]
    assert drawn[2] != drawn[3]


def test_privacy_account_a_grant_is_refused_by_what_was_granted_not_by_what_was_read(
    site: Site,
) -> None:
    """Three cycles of 8 are all of 24, though nobody has read a case."""
    study = _study()
    for cycle in range(3):
        _ask(site, study, "report", cycle)
        _ask(site, study, "select", cycle, 8)
    _ask(site, study, "report", 3)
    with pytest.raises(StepRefused, match="accepted is at most 0"):
        _ask(site, study, "select", 3, 1)


def test_privacy_account_a_round_of_too_few_patients_is_refused_before_it_is_charged(
    site: Site,
) -> None:
    study = _study()
    _ask(site, study, "report")
    _ask(site, study, "select", grant=8)
    rows = site.store.privacy.all(study.identity)
    with pytest.raises(StepRefused) as refused:
        _ask(replace(site, least_patients=9), study, "train")
    assert refused.value.code is Code.TOO_FEW_PATIENTS
    assert site.store.privacy.all(study.identity) == rows
    assert isinstance(_ask(replace(site, least_patients=8), study, "train"), SiteUpdate)
