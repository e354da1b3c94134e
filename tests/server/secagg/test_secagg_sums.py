"""The sum of masked updates is FedAvg's, who leaves is left out, and nobody is seen alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from flwr.common import bytes_to_ndarray
from flwr.common.secure_aggregation.secaggplus_constants import RECORD_KEY_CONFIGS, Key, Stage

from client import dispatch
from client.opening import open_home
from client.store.step_shelf import StepRefused
from protocol.records import SiteUpdate
from protocol.secagg import masking
from protocol.steps import Code, StepRequest
from server.exchange import REHEARSAL
from server.federation import Federation, QuorumLost
from server.ledger import Stage as Place
from server.secagg import ask_sum

SECURE = "aggregation.secure=true"


def weighted(updates: list[SiteUpdate]) -> dict[str, Any]:
    total = sum(u.weight for u in updates)
    return {
        name: sum(u.weight * u.arrays[name].astype(np.float64) for u in updates) / total
        for name in updates[0].arrays
    }


@pytest.mark.slow
def test_secagg_gives_the_weighted_mean(five: Callable[..., Any]) -> None:
    made = five(SECURE)
    found = made.sum(made.grid())
    assert found is not None
    assert found.update is not None
    assert len(found.sites) == 5
    updates = made.plain_updates()
    assert {u.weight for u in updates} == {4.0, 6.0, 8.0, 10.0, 12.0}
    expected = weighted(updates)
    for name, array in expected.items():
        assert np.abs(found.update.arrays[name] - array).max() < 2e-5
    loss = sum(u.loss * u.weight for u in updates) / sum(u.weight for u in updates)
    assert found.update.loss == pytest.approx(loss, abs=1e-4)


@pytest.mark.slow
def test_secagg_shows_nothing_of_one_site(five: Callable[..., Any]) -> None:
    """Masked numbers fill the whole modulus evenly; weight, loss and arrays are in no reply."""
    made = five(SECURE)
    grid = made.grid()
    made.sum(grid)
    stages = [stage for stage, _ in grid.told]
    assert [stages.count(stage) for stage in Stage.all()] == [5, 5, 5, 5]
    for stage, message in grid.told:
        content = message.content
        if stage != Stage.COLLECT_MASKED_VECTORS:
            assert set(content) == {RECORD_KEY_CONFIGS}
            continue
        assert content.metric_records["fitres.num_examples"]["num_examples"] == 1
        assert not content.config_records["fitres.metrics"]
        assert all(not record for record in content.array_records.values())
        blocks = content.config_records[RECORD_KEY_CONFIGS][Key.MASKED_PARAMETERS]
        assert isinstance(blocks, list)
        numbers = np.concatenate([bytes_to_ndarray(b).ravel() for b in blocks])
        modulus = masking(made.study, 5).modulus
        counts = np.histogram(numbers, 8, (0, modulus))[0]
        expected = len(numbers) / 8
        assert ((counts - expected) ** 2 / expected).sum() < 40  # chi-square, 7 degrees: p < 1e-6


@pytest.mark.slow
def test_secagg_survives_a_site_that_leaves_after_the_keys(five: Callable[..., Any]) -> None:
    made = five(SECURE)
    grid = made.grid()
    grid.lost, grid.stage = frozenset({1001}), Stage.COLLECT_MASKED_VECTORS
    found = made.sum(grid)
    assert found is not None
    assert found.update is not None
    assert found.sites == {1000, 1002, 1003, 1004}
    stayed = [u for u in made.plain_updates() if u.site != "south"]
    for name, array in weighted(stayed).items():
        assert np.abs(found.update.arrays[name] - array).max() < 2e-5


@pytest.mark.slow
@pytest.mark.parametrize("stage", [Stage.SETUP, Stage.SHARE_KEYS])
def test_secagg_goes_on_without_a_site_that_leaves_early(
    five: Callable[..., Any], stage: str
) -> None:
    made = five(SECURE)
    grid = made.grid()
    grid.lost, grid.stage = frozenset({1003}), stage
    found = made.sum(grid)
    assert found is not None
    assert found.sites == {1000, 1001, 1002, 1004}


@pytest.mark.slow
def test_secagg_below_the_threshold_tells_nothing_and_can_be_repeated(
    five: Callable[..., Any],
) -> None:
    made = five(SECURE)
    grid = made.grid()
    grid.lost, grid.stage = frozenset({1000, 1001, 1002}), Stage.COLLECT_MASKED_VECTORS
    assert made.sum(grid) is None
    assert Stage.UNMASK not in [stage for stage, _ in grid.told]
    grid.lost = frozenset()
    again = made.sum(grid)
    assert again is not None
    assert len(again.sites) == 5


@pytest.mark.slow
def test_secagg_trains_once_however_often_a_round_is_repeated(five: Callable[..., Any]) -> None:
    made = five(SECURE)
    first, again = made.sum(made.grid()), made.sum(made.grid())
    assert first is not None
    assert again is not None
    assert first.update is not None
    assert again.update is not None
    for name in made.weights:
        assert np.array_equal(first.update.arrays[name], again.update.arrays[name])
    site = open_home(made.homes[0])
    lines = site.store.connection.execute(
        "SELECT record, words FROM audit WHERE event = 'left' ORDER BY line"
    ).fetchall()
    site.store.close()
    assert [words for record, words in lines if record == "SiteUpdate"] == [
        "masked", "again, masked",
    ]  # fmt: skip
    assert [words for record, words in lines if record == "SecAgg"] == [
        "setup", "share keys", "collect masked vectors", "unmask",
    ] * 2  # fmt: skip


@pytest.mark.slow
def test_secagg_whole_study_ends_where_the_plain_one_does(world: Callable[..., Any]) -> None:
    secure, plain = world(SECURE, name="secure"), world(name="plain")
    secure.run()
    plain.run()
    for name, array in plain.model(1).arrays.items():
        assert np.abs(secure.model(1).arrays[name] - array).max() < 1e-3


@pytest.mark.slow
def test_secagg_lost_quorum_is_said(world: Callable[..., Any], monkeypatch: Any) -> None:
    made = world(SECURE)
    monkeypatch.setattr("server.secagg.summed", lambda *_: None)
    with pytest.raises(QuorumLost, match="fewer than 3 stayed to the end of the masked sum"):
        made.run()


@pytest.mark.slow
def test_secagg_goes_on_without_sites_that_have_spent_their_budget(
    five: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who abstains counts towards the quorum of all; of fewer than three no sum is taken."""
    before, spent = dispatch.answer, {"north"}

    def answer(site: Any, request: StepRequest, *, masked: bool = False) -> Any:
        if site.name in spent:
            raise StepRefused(Code.OVER_BUDGET, "spent")
        return before(site, request, masked=masked)

    monkeypatch.setattr(dispatch, "answer", answer)
    made = five(SECURE)
    grid = made.grid()
    nodes = {home.name: 1000 + number for number, home in enumerate(made.homes)}
    federation = Federation(grid, made.study.identity, 1, timing=REHEARSAL, roster=lambda: nodes)
    assert federation.needed == 5
    update, sites = ask_sum(federation, made.study, Place(0, "train"), made.weights)
    assert update is not None
    assert sorted(sites) == sorted(set(nodes) - spent)
    spent |= {"south", "west"}
    with pytest.raises(QuorumLost, match="stayed to the end of the masked sum"):
        ask_sum(federation, made.study, Place(0, "train", 1), made.weights)


@pytest.mark.slow
def test_secagg_a_sum_that_is_not_taken_is_not_seen(five: Callable[..., Any]) -> None:
    """Of two sums of one round, with and without a site, the difference is that site's update."""
    made = five(SECURE)
    grid = made.grid()
    grid.lost, grid.stage = frozenset({1001}), Stage.COLLECT_MASKED_VECTORS
    nodes = {home.name: 1000 + number for number, home in enumerate(made.homes)}
    federation = Federation(grid, made.study.identity, 1, timing=REHEARSAL, roster=lambda: nodes)
    with pytest.raises(QuorumLost, match="fewer than 5 stayed"):
        ask_sum(federation, made.study, Place(0, "train"), made.weights)
    assert Stage.UNMASK not in [stage for stage, _ in grid.told]


@pytest.mark.slow
def test_secagg_who_abstains_counts_once_and_not_for_one_that_is_gone(
    five: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = dispatch.answer

    def answer(site: Any, request: StepRequest, *, masked: bool = False) -> Any:
        if site.name == "north":
            raise StepRefused(Code.OVER_BUDGET, "spent")
        return before(site, request, masked=masked)

    monkeypatch.setattr(dispatch, "answer", answer)
    made = five(SECURE)
    grid = made.grid()
    grid.lost, grid.stage = frozenset({1001}), Stage.COLLECT_MASKED_VECTORS
    found = made.sum(grid)
    assert found is not None
    assert (len(found.sites), found.abstained) == (3, 1)
