"""What a site reports: counts that add up, sums by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from client.site import Site
from client.steps.report import uncertainty
from client.store.reading_shelf import Opening
from protocol.codec import encode
from protocol.records import Arrays, Grant, SiteReport
from protocol.steps import Code
from protocol.study import Study

Ask = Callable[..., Any]
Read = Callable[..., int]
MakeSite = Callable[..., Site]
MakeStudy = Callable[..., Study]
Weights = Callable[[Study], Arrays]
Refused = Callable[..., Code]
Purposes = Callable[[Site, Study, int], list[str]]
Sides = Callable[[Site, Study], tuple[set[int], set[int]]]


def test_a_report_s_counts_add_up_and_none_is_of_one_case(
    tiny_study: MakeStudy,
    tiny_site: MakeSite,
    first_weights: Weights,
    ask: Ask,
    read_cases: Read,
    purposes: Purposes,
    audit_and_pool: Sides,
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
    tiny_study: MakeStudy, tiny_site: MakeSite, first_weights: Weights, refused: Refused
) -> None:
    study = tiny_study()
    other = {name: array + 1 for name, array in first_weights(study).items()}
    site = tiny_site(study)
    assert refused(site, study, "report", arrays=other) is Code.CONFLICT
    assert not (site.home / "scored-pools").exists()
