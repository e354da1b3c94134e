"""What a site does for each message: sums by hand, shares over cycles, every step once."""

from __future__ import annotations

import ast
import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client import scored_pool
from client.keys import SiteKey
from client.site import Arrival, Site, enrol
from client.steps.report import uncertainty
from client.store.reading_shelf import Opening
from client.store.step_shelf import StepRefused
from protocol.codec import digest, encode, pack
from protocol.records import Arrays, Grant, SiteEvaluation, SiteReport, SiteUpdate
from protocol.steps import Code, Hello, Selected
from protocol.study import Study

ROOT = Path(__file__).parents[2]
Ask = Callable[..., Any]
Read = Callable[..., int]
MakeSite = Callable[..., Site]
MakeStudy = Callable[..., Study]
Weights = Callable[[Study], Arrays]


def cycle_of(
    ask: Ask,
    read_cases: Read,
    site: Site,
    study: Study,
    arrays: Arrays,
    cycle: int,
    grant: int,
    **reading: Any,
) -> SiteUpdate:
    """Report, select, read and train; the trained arrays."""
    ask(site, study, "report", cycle=cycle, arrays=arrays)
    ask(site, study, "select", cycle=cycle, grant=Grant(grant, ""))
    read_cases(site.store, study, cycle, **reading)
    update = ask(site, study, "train", cycle=cycle, arrays=arrays)
    assert isinstance(update, SiteUpdate)
    return update


def purposes(site: Site, study: Study, cycle: int) -> list[str]:
    return [o.purpose for o in site.store.readings.opened(study.identity, cycle)]


def audit_and_pool(site: Site, study: Study) -> tuple[set[int], set[int]]:
    """Ids of all audit cases and of all pool cases, before anything was read."""
    left = site.store.cases.audit_left("", study.audit.patients, 0)
    return set(left.tolist()), set(site.store.cases.pool("", study.audit.patients, 0).tolist())


def refused(ask: Ask, *given: Any, **more: Any) -> Code:
    with pytest.raises(StepRefused) as error:
        ask(*given, **more)
    return error.value.code


# ---- report


def test_a_report_s_counts_add_up_and_none_is_of_one_case(
    tiny_study: MakeStudy,
    tiny_site: MakeSite,
    first_weights: Weights,
    ask: Ask,
    read_cases: Read,
) -> None:
    study = tiny_study()
    site, arrays = tiny_site(study), first_weights(study)
    audit, pool = audit_and_pool(site, study)
    told = ask(site, study, "report", arrays=arrays)
    assert isinstance(told, SiteReport)
    assert told.pool + told.audit_left == 40 == len(pool) + len(audit)
    assert told.pool == len(pool) == sum(told.uncertainty) == sum(told.predicted)
    assert (told.labeled, told.labels, told.capacity) == (0, (0, 0), 40)
    assert np.sum(told.kept) == 0
    assert told.seconds_per_reading == told.prequential_loss == told.prequential_count == 0
    # nothing in it grows with the pool, and no array travels with it
    document, carried = encode(told)
    assert not carried
    assert len(told.uncertainty) == 32
    assert max(len(v) for v in document.values() if isinstance(v, list)) == 32

    ask(site, study, "select", grant=Grant(10, ""))
    assert read_cases(site.store, study, seconds=12.0) == 10
    update = ask(site, study, "train", arrays=arrays)
    later = ask(site, study, "report", cycle=1, arrays=update.arrays)
    assert later.pool + later.labeled + later.audit_left == 40 - purposes(site, study, 0).count(
        "audit"
    )
    assert sum(later.labels) == later.labeled == update.weight
    assert np.sum(later.kept) == later.pool == sum(later.uncertainty)
    assert later.seconds_per_reading == 12.0
    assert later.prequential_count == purposes(site, study, 0).count("explore") == 1


def test_kept_counts_how_predictions_moved(
    tiny_study: MakeStudy, tiny_site: MakeSite, first_weights: Weights, ask: Ask
) -> None:
    study = tiny_study()
    site, arrays = tiny_site(study), dict(first_weights(study))
    told = ask(site, study, "report", arrays=arrays)
    head = next(k for k, v in arrays.items() if v.shape == (2,))  # the last layer's bias
    changed = arrays | {head: np.array([50.0, -50.0], dtype=np.float32)}
    moved = ask(site, study, "report", cycle=1, arrays=changed)
    assert moved.kept == ((told.predicted[0], 0), (told.predicted[1], 0))
    again = ask(site, study, "report", cycle=2, arrays=changed)
    assert again.kept == ((told.pool, 0), (0, 0))


def test_uncertainty_by_hand() -> None:
    sure, even, between = [1.0, 0.0], [0.5, 0.5], [0.25, 0.75]
    found = uncertainty(np.array([sure, even, between]), multi_label=False)
    by_hand = -(0.25 * np.log2(0.25) + 0.75 * np.log2(0.75))
    assert found == pytest.approx([0.0, 1.0, by_hand], abs=1e-9)
    # in a multi-label task the classes' own entropies are averaged
    assert uncertainty(np.array([[1.0, 0.5]]), multi_label=True) == pytest.approx([0.5])
    thirds = uncertainty(np.full((1, 3), 1 / 3), multi_label=False)
    assert thirds == pytest.approx([1.0])
    assert thirds[0] <= 1.0


@pytest.mark.parametrize("kind", ["single-label", "multi-label"])
def test_prequential_loss_by_hand(
    tiny_study: MakeStudy, tiny_site: MakeSite, first_weights: Weights, ask: Ask, kind: str
) -> None:
    from client.queue import submit
    from protocol.records import Reading

    study = tiny_study(f"task.kind={kind}")
    site, arrays = tiny_site(study), first_weights(study)
    cases = [int(c) for c in site.store.cases.pool("", study.audit.patients, 0)[:4]]
    told: list[Any] = [("explore", (0.2, 0.8)), ("explore", (0.9, 0.1)), ("query", (0.5, 0.5))]
    openings = [Opening(c, p, probs) for c, (p, probs) in zip(cases, told, strict=False)]
    openings.append(Opening(cases[3], "explore", (0.3, 0.7)))  # left unread: does not count
    with site.store.transaction():
        site.store.readings.grant(study.identity, 0, 0, 3)
        site.store.readings.open(study.identity, 0, openings)
    for opening in openings[:3]:
        at = "2026-01-05T08:00:00+00:00"
        submit(site.store, study, 0, opening, Reading("", "a", at, 1.0, "answered", (0, 1)))
    ask(site, study, "train", arrays=arrays)
    report = ask(site, study, "report", cycle=1, arrays=arrays)
    assert report.prequential_count == 2
    single = -(np.log(0.8) + np.log(0.1)) / 2
    multi = -(np.log(0.8) + np.log(0.8) + np.log(0.1) + np.log(0.1)) / 2 / 2
    wanted = single if kind == "single-label" else multi
    assert report.prequential_loss == pytest.approx(wanted)


def test_first_weights_that_nobody_approved_are_refused(
    tiny_study: MakeStudy, tiny_site: MakeSite, first_weights: Weights, ask: Ask
) -> None:
    study = tiny_study()
    other = {name: array + 1 for name, array in first_weights(study).items()}
    site = tiny_site(study)
    assert refused(ask, site, study, "report", arrays=other) is Code.CONFLICT
    assert not (site.home / "scored-pools").exists()


# ---- select


@pytest.mark.slow
def test_shares_of_audit_and_exploration_are_reached_over_the_cycles(
    tiny_study: MakeStudy, tiny_site: MakeSite, first_weights: Weights, ask: Ask, read_cases: Read
) -> None:
    study = tiny_study("budget.total=100")
    site, arrays = tiny_site(study, pool=160), first_weights(study)
    audit, pool = audit_and_pool(site, study)
    seen: list[int] = []
    counts = {"audit": 0, "explore": 0, "query": 0}
    for cycle in range(10):
        cycle_of(ask, read_cases, site, study, arrays, cycle, 8)
        for opening in site.store.readings.opened(study.identity, cycle):
            counts[opening.purpose] += 1
            assert opening.case in (audit if opening.purpose == "audit" else pool)
            assert (opening.probs is None) == (opening.purpose == "audit")
            seen.append(opening.case)
        # 0.8 of a case each cycle: never more than half a case away
        assert abs(counts["audit"] - 0.8 * (cycle + 1)) <= 0.5
        assert abs(counts["explore"] - 0.72 * (cycle + 1)) <= 0.5
    assert counts == {"audit": 8, "explore": 7, "query": 65}
    assert len(set(seen)) == len(seen) == 80
    locked, _ = site.store.cases.locked()
    assert not set(locked.tolist()) & set(seen)


@pytest.mark.slow
def test_returned_readings_do_not_swell_the_audit_share(
    tiny_study: MakeStudy, tiny_site: MakeSite, first_weights: Weights, ask: Ask, read_cases: Read
) -> None:
    study = tiny_study("budget.total=100")
    site, arrays = tiny_site(study, pool=160), first_weights(study)
    for cycle in range(6):  # ten are granted in every cycle, two are read
        cycle_of(ask, read_cases, site, study, arrays, cycle, 10, most=2)
        # 0.1 of what was read before and of this grant, less what was read of audit
        assert purposes(site, study, cycle).count("audit") <= 2


def test_the_strategy_s_choice_keeps_its_order_and_the_rest_is_mixed_in(
    tiny_study: MakeStudy, tiny_site: MakeSite, first_weights: Weights, ask: Ask
) -> None:
    study = tiny_study("audit.grant=0.3", "budget.exploration=0.3", "budget.per_cycle=20")
    site, arrays = tiny_site(study, pool=80), first_weights(study)
    ask(site, study, "train", arrays=arrays)
    ask(site, study, "report", cycle=1, arrays=arrays)
    reply = ask(site, study, "select", cycle=1, grant=Grant(20, ""))
    assert reply == Selected("north", 20)
    openings = site.store.readings.opened(study.identity, 1)
    scored = scored_pool.read(site.home, study.identity, 1)
    assert scored is not None
    entropy = dict(
        zip(
            scored.ids.tolist(),
            uncertainty(scored.signals["probs"], multi_label=False),
            strict=True,
        )
    )
    asked = [entropy[o.case] for o in openings if o.purpose == "query"]
    assert len(asked) == 10  # 6 audit, 4.2 exploration
    assert asked == sorted(asked, reverse=True)
    explored = {o.case for o in openings if o.purpose == "explore"}
    others = [value for case, value in entropy.items() if case not in explored]
    assert asked == sorted(others, reverse=True)[:10]
    order = [o.purpose for o in openings]
    assert (order.count("audit"), order.count("explore")) == (6, 4)
    runs = [kind for kind, _ in itertools.groupby(kind == "query" for kind in order)]
    assert len(runs) >= 4  # neither at the front nor at the end: mixed
    assert digest({}, *order) == digest({}, *purposes(site, study, 1))


def test_a_top_up_opens_other_cases_and_counts_those_still_open(
    tiny_study: MakeStudy, tiny_site: MakeSite, first_weights: Weights, ask: Ask, read_cases: Read
) -> None:
    study = tiny_study("audit.grant=0.2", "budget.exploration=0.5", "budget.per_cycle=16")
    site, arrays = tiny_site(study), first_weights(study)
    ask(site, study, "report", arrays=arrays)
    ask(site, study, "select", grant=Grant(10, ""))
    first = site.store.readings.opened(study.identity, 0)
    assert ask(site, study, "select", sequence=1, grant=Grant(5, "")).opened == 5
    both = site.store.readings.opened(study.identity, 0)
    assert both[:10] == first
    assert len({o.case for o in both}) == 15
    kinds = [o.purpose for o in both]
    assert (kinds.count("audit"), kinds.count("explore")) == (3, 6)  # as one grant of 15 had
    assert site.store.readings.granted(study.identity, 0) == 15
    assert read_cases(site.store, study) == 15
    # the same top-up again grants nothing; another one under its key is refused
    assert ask(site, study, "select", sequence=1, grant=Grant(5, "")).opened == 5
    assert refused(ask, site, study, "select", sequence=1, grant=Grant(6, "")) is Code.CONFLICT
    assert site.store.readings.granted(study.identity, 0) == 15


def test_a_pool_smaller_than_the_grant_is_opened_whole(
    tiny_study: MakeStudy, tiny_site: MakeSite, first_weights: Weights, ask: Ask, read_cases: Read
) -> None:
    study = tiny_study("audit.patients=0.0")
    site, arrays = tiny_site(study, pool=6), first_weights(study)
    assert ask(site, study, "report", arrays=arrays).capacity == 6
    assert ask(site, study, "select", grant=Grant(9, "")).opened == 6
    assert read_cases(site.store, study) == 6
    told = ask(site, study, "close")
    assert (told.spent, told.returned, told.waiting) == (6, 3, 0)
    empty = ask(site, study, "report", cycle=1, arrays=arrays)
    assert (empty.pool, empty.capacity, sum(empty.uncertainty)) == (0, 0, 0)
    assert ask(site, study, "select", cycle=1, grant=Grant(0, "")).opened == 0


def test_audit_cases_fill_what_an_exhausted_pool_leaves_of_a_grant(
    tiny_study: MakeStudy, tiny_site: MakeSite, first_weights: Weights, ask: Ask
) -> None:
    study = tiny_study("audit.patients=0.5", "budget.total=40", "budget.per_cycle=40")
    site, arrays = tiny_site(study), first_weights(study)
    _, pool = audit_and_pool(site, study)
    told = ask(site, study, "report", arrays=arrays)
    assert told.capacity == 40  # and all of it can be used
    count = len(pool) + 7
    assert ask(site, study, "select", grant=Grant(count, "")).opened == count
    kinds = purposes(site, study, 0)
    due = round(0.1 * count)
    assert kinds.count("audit") == 7
    assert kinds[-(7 - due) :] == ["audit"] * (7 - due)  # behind all others


def test_several_readers_per_case_open_fewer_cases(
    tiny_study: MakeStudy, tiny_site: MakeSite, first_weights: Weights, ask: Ask, read_cases: Read
) -> None:
    study = tiny_study("reading.readers_per_case=2")
    site, arrays = tiny_site(study), first_weights(study)
    assert ask(site, study, "report", arrays=arrays).capacity == 80
    assert ask(site, study, "select", grant=Grant(9, "")).opened == 5  # the last with one reader
    assert read_cases(site.store, study) == 9
    assert ask(site, study, "train", arrays=arrays).weight <= 5


@pytest.mark.parametrize("grant", [None, Grant(-1, "")])
def test_a_select_without_a_usable_grant_is_refused(
    tiny_study: MakeStudy,
    tiny_site: MakeSite,
    first_weights: Weights,
    ask: Ask,
    grant: Grant | None,
) -> None:
    study = tiny_study()
    site = tiny_site(study)
    assert refused(ask, site, study, "select", grant=grant) is Code.BAD_REQUEST
    assert refused(ask, site, study, "select", grant=Grant(3, "")) is Code.BAD_REQUEST  # no report
    assert site.store.readings.granted(study.identity) == 0


def test_a_newcomer_between_report_and_select_waits_for_the_next_report(
    tiny_study: MakeStudy, tiny_site: MakeSite, first_weights: Weights, ask: Ask
) -> None:
    study = tiny_study("audit.patients=0.0")
    site, arrays = tiny_site(study, pool=4), first_weights(study)
    ask(site, study, "report", arrays=arrays)
    key = SiteKey(bytes(16))
    enrol(site.store, key, Arrival(["new"], ["new"], ["pool"], [5]), clustered=True)
    assert ask(site, study, "select", grant=Grant(9, "")).opened == 4
    assert ask(site, study, "report", cycle=1, arrays=arrays).pool == 5


# ---- train


def test_a_repeated_train_is_answered_and_not_done_again(
    tiny_study: MakeStudy,
    tiny_site: MakeSite,
    first_weights: Weights,
    ask: Ask,
    read_cases: Read,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from client.steps import train as step

    trainings = []
    learn = step.learn
    monkeypatch.setattr(step, "learn", lambda *a, **k: trainings.append(1) or learn(*a, **k))
    study = tiny_study()
    site, arrays = tiny_site(study), first_weights(study)
    first = cycle_of(ask, read_cases, site, study, arrays, 0, 8)
    assert 0 < first.weight <= 8
    assert any((first.arrays[name] != array).any() for name, array in arrays.items())
    again = ask(site, study, "train", arrays=arrays)
    newer = ask(site, study, "train", arrays=arrays, epoch=7)  # a restarted ServerApp
    assert pack(first) == pack(again) == pack(newer)
    assert len(trainings) == 1
    rows = site.store.connection.execute("SELECT reply FROM steps WHERE step = 'train'").fetchall()
    assert rows == [(pack(first),)]


def test_a_repeated_step_is_answered_by_a_site_that_was_opened_anew(
    tiny_study: MakeStudy, tiny_site: MakeSite, first_weights: Weights, ask: Ask, read_cases: Read
) -> None:
    from client.opening import open_home

    study = tiny_study()
    site, arrays = tiny_site(study), first_weights(study)
    before = cycle_of(ask, read_cases, site, study, arrays, 0, 8)
    other = open_home(site.home)
    assert pack(ask(other, study, "train", arrays=arrays)) == pack(before)
    other.store.close()


def test_conflicts_lower_epochs_strangers_and_the_forgotten_are_refused(
    tiny_study: MakeStudy, tiny_site: MakeSite, first_weights: Weights, ask: Ask, read_cases: Read
) -> None:
    study = tiny_study("training.rounds_per_cycle=2")
    site, arrays = tiny_site(study), first_weights(study)
    update = cycle_of(ask, read_cases, site, study, arrays, 0, 8)
    assert refused(ask, site, study, "train", arrays=update.arrays) is Code.CONFLICT
    ask(site, study, "train", round=1, arrays=update.arrays, epoch=3)
    assert refused(ask, site, study, "train", arrays=arrays, epoch=3) is Code.FORGOTTEN
    for step in ("hello", "close", "train"):
        assert refused(ask, site, study, step, epoch=2) is Code.LOWER_EPOCH
    stranger = tiny_study("seed=1")
    for step in ("hello", "report", "select", "close", "train", "evaluate"):
        assert refused(ask, site, stranger, step, arrays=arrays) is Code.NOT_APPROVED
    assert refused(ask, site, study, "delete", epoch=3) is Code.BAD_REQUEST
    hello = ask(site, study, "hello", epoch=3)
    assert isinstance(hello, Hello)
    assert (hello.site, hello.number, hello.protocol) == ("north", 0, 1)
    rows = site.store.connection.execute("SELECT count(*) FROM steps WHERE step = 'train'")
    assert rows.fetchone()[0] == 2


def test_a_failed_step_leaves_nothing_and_can_be_asked_again(
    tiny_study: MakeStudy, tiny_site: MakeSite, first_weights: Weights, ask: Ask, read_cases: Read
) -> None:
    study = tiny_study()
    site, arrays = tiny_site(study), first_weights(study)
    ask(site, study, "report", arrays=arrays)

    class Torn:
        def take(self, rows: Any, image: Any) -> Any:
            raise OSError("the disk is gone")

    ask(site, study, "select", grant=Grant(6, ""))
    read_cases(site.store, study)
    torn = dataclasses.replace(site, images=Torn())
    with pytest.raises(OSError, match="disk"):
        ask(torn, study, "train", arrays=arrays)
    assert not site.store.connection.execute("SELECT 1 FROM steps WHERE step = 'train'").fetchall()
    assert ask(site, study, "train", arrays=arrays).steps > 0


def test_a_site_without_labels_returns_what_it_got_with_weight_0(
    tiny_study: MakeStudy, tiny_site: MakeSite, first_weights: Weights, ask: Ask, read_cases: Read
) -> None:
    study = tiny_study()
    site, arrays = tiny_site(study), first_weights(study)
    doubt = cycle_of(
        ask, read_cases, site, study, arrays, 0, 4, say=lambda opening, row: ("unsure", ())
    )
    assert (doubt.weight, doubt.loss, doubt.steps) == (0.0, 0.0, 0)
    assert digest(doubt.arrays) == digest(arrays)


def test_a_site_with_one_class_trains(
    tiny_study: MakeStudy, tiny_site: MakeSite, first_weights: Weights, ask: Ask, read_cases: Read
) -> None:
    study = tiny_study("training.balancing=weights")
    site, arrays = tiny_site(study), first_weights(study)
    update = cycle_of(
        ask, read_cases, site, study, arrays, 0, 6, say=lambda opening, row: ("answered", (1, 0))
    )
    assert update.weight > 0
    assert update.steps >= 1
    assert all(np.isfinite(array).all() for array in update.arrays.values())


def test_an_excluded_patient_is_not_trained_on_from_the_next_step(
    tiny_study: MakeStudy, tiny_site: MakeSite, first_weights: Weights, ask: Ask, read_cases: Read
) -> None:
    study = tiny_study("training.rounds_per_cycle=2")
    site, arrays = tiny_site(study), first_weights(study)
    update = cycle_of(ask, read_cases, site, study, arrays, 0, 8)
    ids, _ = site.store.labels.settled(study.identity)
    patient = site.store.connection.execute(
        "SELECT patients.key FROM patients JOIN cases ON patient = patients.id WHERE cases.id = ?",
        (int(ids[0]),),
    ).fetchone()[0]
    with site.store.transaction():
        site.store.cases.exclude(patient)
    after = ask(site, study, "train", round=1, arrays=update.arrays)
    assert after.weight < update.weight


# ---- evaluate, and what nothing else may see


def test_evaluate_is_none_where_nothing_is_labeled(
    tiny_study: MakeStudy, tiny_site: MakeSite, first_weights: Weights, ask: Ask
) -> None:
    study = tiny_study()
    site = tiny_site(study, locked=0)
    told = ask(site, study, "evaluate", arrays=first_weights(study))
    assert told == SiteEvaluation("north", None, None)


def test_evaluate_measures_settled_audit_cases_and_counts_the_others(
    tiny_study: MakeStudy, tiny_site: MakeSite, first_weights: Weights, ask: Ask, read_cases: Read
) -> None:
    study = tiny_study("audit.grant=0.99")
    site, arrays = tiny_site(study), first_weights(study)
    audit, _ = audit_and_pool(site, study)
    assert len(audit) >= 6
    ask(site, study, "report", arrays=arrays)
    ask(site, study, "select", grant=Grant(6, ""))
    kinds = purposes(site, study, 0)
    assert kinds.count("audit") == 6
    read_cases(site.store, study, most=2, say=lambda opening, row: ("unsure", ()))
    doubt = ask(site, study, "evaluate", arrays=arrays)  # one case, left unsure by both readers
    assert (doubt.audit.cases, doubt.audit.unsettled, doubt.audit.patients) == (0, 1, 0)
    assert (doubt.locked.cases, doubt.locked.patients, doubt.locked.clustered) == (8, 4, True)
    read_cases(site.store, study)
    told = ask(site, study, "evaluate", round=1, arrays=arrays)
    assert (told.audit.cases, told.audit.unsettled) == (4, 1)
    assert told.audit.patients <= 4
    assert told.locked.cases == 8


def run_poisoned(
    study: Study,
    site: Site,
    arrays: Arrays,
    ask: Ask,
    read_cases: Read,
    truth: Callable[[int], tuple[int, ...]],
    *,
    lie: bool,
) -> tuple[list[Any], list[str], list[str]]:
    """Three cycles; choices, hashes of what training reads and writes, and of the evaluations."""

    def say(opening: Opening, row: int) -> Any:
        value = truth(row)
        return "answered", value[::-1] if lie and opening.purpose == "audit" else value

    choices, trained, measured = [], [], []
    for cycle in range(3):
        report = ask(site, study, "report", cycle=cycle, arrays=arrays)
        ask(site, study, "select", cycle=cycle, grant=Grant(10, ""))
        choices += [report, site.store.readings.opened(study.identity, cycle)]
        read_cases(site.store, study, cycle, say=say)
        update = ask(site, study, "train", cycle=cycle, arrays=arrays)
        arrays = update.arrays
        trained += [digest(arrays), repr((update.weight, update.loss, update.steps))]
        told = ask(site, study, "evaluate", cycle=cycle, round=1, arrays=arrays)
        measured += [digest({"a": told.audit.sums, "l": told.locked.sums})]
    return choices, trained, measured


@pytest.mark.slow
def test_lies_about_audit_and_locked_cases_change_no_choice_and_no_weight(
    tmp_path: Path,
    tiny_study: MakeStudy,
    tiny_site: MakeSite,
    first_weights: Weights,
    ask: Ask,
    read_cases: Read,
    truth: Callable[[int], tuple[int, ...]],
) -> None:
    study = tiny_study("audit.grant=0.3", "query.strategy=badge", "budget.total=30")
    arrays = first_weights(study)
    honest = tiny_site(study, folder=tmp_path / "honest")
    lied = tiny_site(study, folder=tmp_path / "lied", locked_truth=lambda row: truth(row + 1))
    one = run_poisoned(study, honest, arrays, ask, read_cases, truth, lie=False)
    two = run_poisoned(study, lied, arrays, ask, read_cases, truth, lie=True)
    assert sum(o.purpose == "audit" for o in one[0][1]) == 3
    assert one[0] == two[0]
    assert one[1] == two[1]
    assert all(a != b for a, b in zip(one[2], two[2], strict=True))  # the lies did arrive


@pytest.mark.slow
def test_of_all_steps_evaluate_alone_reads_audit_labels_and_locked_answers() -> None:
    found: dict[str, set[str]] = {"audit": set(), "locked": set()}
    for package in ("client", "server", "strategies", "protocol"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.Attribute) or node.attr not in found:
                    continue
                owner = ast.unparse(node.value)
                if owner.endswith(("labels", "shelf") if node.attr == "audit" else "cases"):
                    found[node.attr].add(path.relative_to(ROOT).as_posix())
    site = {"client/exports/tables.py"}  # for its own people
    assert found == {
        "audit": {"client/steps/evaluate.py"} | site,
        "locked": {"client/steps/evaluate.py"},
    }
