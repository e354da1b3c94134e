"""Training at a site: every step once, and what does not train."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from client.site import Site
from protocol.codec import digest, pack
from protocol.records import Arrays, Grant, SiteUpdate
from protocol.steps import Code, Hello
from protocol.study import Study

Ask = Callable[..., Any]
Read = Callable[..., int]
MakeSite = Callable[..., Site]
MakeStudy = Callable[..., Study]
Weights = Callable[[Study], Arrays]
Refused = Callable[..., Code]
Cycle = Callable[..., SiteUpdate]


def test_a_repeated_train_is_answered_and_not_done_again(
    tiny_study: MakeStudy,
    tiny_site: MakeSite,
    first_weights: Weights,
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
    cycle_of: Cycle,
) -> None:
    from client.steps import train as step

    trainings = []
    learn = step.learn
    monkeypatch.setattr(step, "learn", lambda *a, **k: trainings.append(1) or learn(*a, **k))
    study = tiny_study()
    site, arrays = tiny_site(study), first_weights(study)
    first = cycle_of(site, study, arrays, 0, 8)
    assert 0 < first.weight <= 8
    assert any((first.arrays[name] != array).any() for name, array in arrays.items())
    again = ask(site, study, "train", arrays=arrays)
    newer = ask(site, study, "train", arrays=arrays, epoch=7)  # a restarted ServerApp
    assert pack(first) == pack(again) == pack(newer)
    assert len(trainings) == 1
    rows = site.store.connection.execute("SELECT reply FROM steps WHERE step = 'train'").fetchall()
    assert rows == [(pack(first),)]


def test_a_repeated_step_is_answered_by_a_site_that_was_opened_anew(
    tiny_study: MakeStudy, tiny_site: MakeSite, first_weights: Weights, ask: Ask, cycle_of: Cycle
) -> None:
    from client.opening import open_home

    study = tiny_study()
    site, arrays = tiny_site(study), first_weights(study)
    before = cycle_of(site, study, arrays, 0, 8)
    other = open_home(site.home)
    assert pack(ask(other, study, "train", arrays=arrays)) == pack(before)
    other.store.close()


def test_conflicts_lower_epochs_strangers_and_the_forgotten_are_refused(
    tiny_study: MakeStudy,
    tiny_site: MakeSite,
    first_weights: Weights,
    ask: Ask,
    cycle_of: Cycle,
    refused: Refused,
) -> None:
    study = tiny_study("training.rounds_per_cycle=2")
    site, arrays = tiny_site(study), first_weights(study)
    update = cycle_of(site, study, arrays, 0, 8)
    assert refused(site, study, "train", arrays=update.arrays) is Code.CONFLICT
    ask(site, study, "train", round=1, arrays=update.arrays, epoch=3)
    assert refused(site, study, "train", arrays=arrays, epoch=3) is Code.FORGOTTEN
    for step in ("hello", "close", "train"):
        assert refused(site, study, step, epoch=2) is Code.LOWER_EPOCH
    stranger = tiny_study("seed=1")
    for step in ("hello", "report", "select", "close", "train", "evaluate"):
        assert refused(site, stranger, step, arrays=arrays) is Code.NOT_APPROVED
    assert refused(site, study, "delete", epoch=3) is Code.BAD_REQUEST
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
    tiny_study: MakeStudy, tiny_site: MakeSite, first_weights: Weights, cycle_of: Cycle
) -> None:
    study = tiny_study()
    site, arrays = tiny_site(study), first_weights(study)
    doubt = cycle_of(site, study, arrays, 0, 4, say=lambda opening, row: ("unsure", ()))
    assert (doubt.weight, doubt.loss, doubt.steps) == (0.0, 0.0, 0)
    assert digest(doubt.arrays) == digest(arrays)


def test_a_site_with_one_class_trains(
    tiny_study: MakeStudy, tiny_site: MakeSite, first_weights: Weights, cycle_of: Cycle
) -> None:
    study = tiny_study("training.balancing=weights")
    site, arrays = tiny_site(study), first_weights(study)
    update = cycle_of(site, study, arrays, 0, 6, say=lambda opening, row: ("answered", (1, 0)))
    assert update.weight > 0
    assert update.steps >= 1
    assert all(np.isfinite(array).all() for array in update.arrays.values())


def test_an_excluded_patient_is_not_trained_on_from_the_next_step(
    tiny_study: MakeStudy, tiny_site: MakeSite, first_weights: Weights, ask: Ask, cycle_of: Cycle
) -> None:
    study = tiny_study("training.rounds_per_cycle=2")
    site, arrays = tiny_site(study), first_weights(study)
    update = cycle_of(site, study, arrays, 0, 8)
    ids, _ = site.store.labels.settled(study.identity)
    patient = site.store.connection.execute(
        "SELECT patients.key FROM patients JOIN cases ON patient = patients.id WHERE cases.id = ?",
        (int(ids[0]),),
    ).fetchone()[0]
    with site.store.transaction():
        site.store.cases.exclude(patient)
    after = ask(site, study, "train", round=1, arrays=update.arrays)
    assert after.weight < update.weight
