"""The shelf of offers: kept once, found, decided; and a paused study answers nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from client.store.offer_shelf import Offer
from client.store.step_shelf import StepRefused
from client.store.store import SiteStore
from protocol.steps import Code
from protocol.study import Study

OFFER = Offer("a" * 64, "{}", "b" * 64, "Ann", 3, 6000, "0.1.0", "2026-01-05T08:00:00+00:00")


def test_an_offer_kept_twice_is_one(tiny_store: SiteStore) -> None:
    tiny_store.offers.keep(OFFER)
    tiny_store.offers.keep(replace(OFFER, sites=4))
    assert tiny_store.offers.every() == [replace(OFFER, sites=4)]
    assert tiny_store.offers.find("c" * 64) is None


def test_a_decision_is_kept_with_its_time(tiny_store: SiteStore) -> None:
    tiny_store.offers.keep(OFFER)
    tiny_store.offers.decide(OFFER.identity, "refused", "2026-01-06T08:00:00+00:00")
    found = tiny_store.offers.find(OFFER.identity)
    assert found == replace(OFFER, state="refused", decided="2026-01-06T08:00:00+00:00")
    assert tiny_store.offers.standings() == {OFFER.identity: "refused"}


@pytest.mark.parametrize(("standing", "code"), [("paused", "paused"), ("withdrawn", "withdrawn")])
def test_a_study_that_does_not_stand_approved_answers_nothing(
    standing: str, code: str, tiny_store: SiteStore, tiny_study: Callable[..., Study]
) -> None:
    study = tiny_study()
    tiny_store.steps.approve(study, "w")
    tiny_store.offers.stand(study.identity, standing)  # type: ignore[arg-type]
    with pytest.raises(StepRefused) as refused:
        tiny_store.steps.study(study.identity)
    assert refused.value.code == Code(code)
    assert tiny_store.offers.standings() == {study.identity: standing}
    tiny_store.offers.stand(study.identity, "approved")
    assert tiny_store.steps.study(study.identity).identity == study.identity
