"""A server that was broken into asks for more than the study that a site approved."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client import approval, dispatch
from client.app import answer_to
from client.attendance.errand import Errands
from client.attendance.news import ACKNOWLEDGED
from client.audit.chain import lines
from client.home import open_store
from client.paths import HomePaths
from client.site import Site
from client.steps.outcome import Outcome
from client.store.offer_shelf import Offer
from client.store.step_shelf import StepRefused
from client.store.store import SiteStore, now
from protocol.coordination_pb2 import FromServer, Order
from protocol.coordination_pb2 import Offer as Offered
from protocol.records import Arrays, Grant, SiteUpdate, StepKey
from protocol.steps import Code, Refusal, StepRequest
from protocol.study import Study

Ask = Callable[..., Any]


@pytest.fixture
def study(tiny_study: Callable[..., Study]) -> Study:
    return tiny_study("training.rounds_per_cycle=2")


@pytest.fixture
def arrays(study: Study, first_weights: Callable[[Study], Arrays]) -> Arrays:
    return first_weights(study)


@pytest.fixture
def site(study: Study, tiny_site: Callable[..., Site]) -> Site:
    return tiny_site(study)


@pytest.fixture
def refused(ask: Ask) -> Callable[..., Code]:
    def code(*given: Any, **more: Any) -> Code:
        with pytest.raises(StepRefused) as error:
            ask(*given, **more)
        return error.value.code

    return code


@pytest.mark.parametrize(
    ("step", "key"),
    [
        ("hello", {"round": 1}),
        ("report", {"sequence": 1}),
        ("report", {"round": 1}),
        ("select", {"cycle": 25}),
        ("select", {"sequence": -1}),
        ("train", {"round": 2}),
        ("train", {"sequence": 1}),
        ("evaluate", {"round": 1}),
        ("evaluate", {"round": 0, "cycle": 1}),
        ("evaluate", {"round": 2, "sequence": 7}),
        ("close", {"round": -1}),
        ("close", {"epoch": 2**70}),
    ],
)
def test_a_step_that_no_run_has_is_not_done(
    site: Site, study: Study, refused: Callable[..., Code], step: str, key: dict[str, int]
) -> None:
    """Else a server could look at the cases of a site through as many models as it likes."""
    assert refused(site, study, step, **key) is Code.BAD_REQUEST
    assert not list(lines(site.store))


@pytest.mark.parametrize("step", ["hello", "select", "close"])
def test_what_does_not_belong_to_a_step_is_refused(
    site: Site, study: Study, arrays: Arrays, refused: Callable[..., Code], step: str
) -> None:
    assert refused(site, study, step, arrays=arrays, grant=None) is Code.BAD_REQUEST
    if step != "select":
        assert refused(site, study, step, grant=Grant(1, "")) is Code.BAD_REQUEST


@pytest.mark.parametrize("step", ["train", "evaluate", "report"])
@pytest.mark.parametrize("odd", ["images", "image", "shape", "type", "missing"])
def test_arrays_of_another_network_than_the_study_s_are_not_taken(
    site: Site, study: Study, arrays: Arrays, refused: Callable[..., Code], step: str, odd: str
) -> None:
    """A request with arrays of an image's shape would let images by as what was asked for."""
    name = next(iter(arrays))
    given: Arrays = {
        "images": {"images": np.zeros((40, 1, 8, 8), np.float32)},
        "image": {**arrays, "image": np.zeros((1, 8, 8), np.float32)},
        "shape": {**arrays, name: np.zeros((40, 1, 8, 8), np.float32)},
        "type": {**arrays, name: arrays[name].astype(np.float64)},
        "missing": {k: a for k, a in arrays.items() if k != name},
    }[odd]
    assert refused(site, study, step, cycle=1, round=0 if step != "evaluate" else 2,
                   arrays=given) is Code.BAD_REQUEST  # fmt: skip
    assert not list(lines(site.store))


def test_no_grant_is_larger_than_the_study_allows_in_a_cycle(
    site: Site, study: Study, arrays: Arrays, ask: Ask, refused: Callable[..., Code]
) -> None:
    """Twelve a cycle, together with every top-up; a server does not open the whole pool."""
    ask(site, study, "report", arrays=arrays)
    for count in (13, 40, 2**70, -1):
        assert refused(site, study, "select", grant=Grant(count, "")) is Code.BAD_REQUEST
    ask(site, study, "select", grant=Grant(9, ""))
    assert refused(site, study, "select", sequence=1, grant=Grant(4, "")) is Code.BAD_REQUEST
    ask(site, study, "select", sequence=1, grant=Grant(3, ""))
    assert refused(site, study, "select", sequence=2, grant=Grant(1, "")) is Code.BAD_REQUEST
    assert site.store.readings.granted(study.identity) == 12


def test_all_grants_together_are_no_more_than_the_study_s_budget(
    site: Site,
    study: Study,
    arrays: Arrays,
    ask: Ask,
    read_cases: Callable[..., int],
    refused: Callable[..., Code],
) -> None:
    """24 in all: what was read counts; what was granted and not read was given back."""
    for cycle, read in ((0, 5), (1, 12)):
        ask(site, study, "report", cycle=cycle, arrays=arrays)
        ask(site, study, "select", cycle=cycle, grant=Grant(12, ""))
        assert read_cases(site.store, study, cycle, most=read) == read
    ask(site, study, "report", cycle=2, arrays=arrays)
    assert refused(site, study, "select", cycle=2, grant=Grant(8, "")) is Code.BAD_REQUEST
    ask(site, study, "select", cycle=2, grant=Grant(7, ""))
    assert read_cases(site.store, study, 2) == 7
    ask(site, study, "report", cycle=3, arrays=arrays)
    assert refused(site, study, "select", cycle=3, grant=Grant(1, "")) is Code.BAD_REQUEST
    assert site.store.readings.spent(study.identity)[0] == study.budget.total


@pytest.mark.parametrize(
    ("decide", "code"),
    [(approval.pause, Code.PAUSED), (approval.withdraw, Code.WITHDRAWN)],
)
def test_a_study_that_is_taken_back_during_a_step_lets_nothing_of_it_out(
    site: Site,
    study: Study,
    arrays: Arrays,
    refused: Callable[..., Code],
    monkeypatch: pytest.MonkeyPatch,
    decide: Callable[..., None],
    code: Code,
) -> None:
    """The admin says so, from another process, while the site trains."""
    weights = site.store.steps.weights(study.identity)
    offer = Offer(study.identity, "{}", weights, "", 1, 1, "", now(), "approved")
    with site.store.transaction():
        site.store.offers.keep(offer)

    def interrupted(site: Site, study: Study, request: StepRequest) -> Outcome:
        admin = open_store(site.home)
        decide(admin, offer)
        admin.close()
        update = SiteUpdate(site.name, request.arrays, 1.0, 0.5, 1)
        return Outcome(update, lambda: site.store.readings.grant(study.identity, 0, 0, 9))

    monkeypatch.setattr(dispatch, "STEPS", {**dispatch.STEPS, "train": interrupted})
    assert refused(site, study, "train", arrays=arrays) is code
    assert [x.entry.event for x in lines(site.store) if x.entry.plane == "model"] == []
    assert site.store.readings.granted(study.identity) == 0
    assert refused(site, study, "hello") is code


@pytest.mark.parametrize("identity", ["\ud800", "a" * 10**6, "", "../../etc", "é" * 64])
def test_a_study_s_identity_that_is_none_is_refused_like_any_that_is_unknown(
    site: Site, identity: str
) -> None:
    request = StepRequest(StepKey(identity, 0, "hello"), 1)
    assert answer_to(site, "hello", lambda: request) == Refusal(Code.NOT_APPROVED)
    (line,) = lines(site.store)
    assert (line.entry.event, line.entry.study) == ("refused", "")
    assert not (site.home / "site.log").exists()


def test_failures_without_end_fill_no_disk(site: Site, study: Study, arrays: Arrays) -> None:
    torn = dataclasses.replace(site, images=None)  # type: ignore[arg-type]
    log = site.home / "site.log"
    log.write_bytes(b"x" * (2**20 + 1))
    request = StepRequest(StepKey(study.identity, 0, "evaluate"), 1, arrays)
    assert answer_to(torn, "evaluate", lambda: request) == Refusal(Code.FAILED)
    assert 0 < log.stat().st_size < 10**4
    assert log.with_name("site.log.1").stat().st_mode & 0o777 == 0o600


@pytest.mark.slow
def test_orders_and_offers_without_end_fill_no_log(
    tiny_store: SiteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1e9]
    monkeypatch.setattr(time, "time", lambda: clock[0])
    errands = Errands(HomePaths(tmp_path), "north", tiny_store)
    kinds = ("study-paused", "restart-node", "open a shell", "erase\n{}")

    async def flood() -> None:
        for number in range(1, 2001):
            clock[0] += 0.1
            order = Order(kind=kinds[number % 4].format(number), study="a" * 64)
            await errands.carry_out(FromServer(sequence=number, order=order))
            offer = Offered(study=f"{number:064x}", document="{" * number, weights="b" * 64)
            await errands.carry_out(FromServer(sequence=10**6 + number, offer=offer))
            tiny_store.cases.set_fact(ACKNOWLEDGED, str(number))

    asyncio.run(flood())
    told = [line.entry for line in lines(tiny_store)]
    assert 4 <= len(told) < 40
    assert {e.record for e in told} == {"Order", "Offer"}
    assert not any(c in e.words for e in told for c in "\n\x1b")
