"""SecAgg+ over the local engine: the sum is FedAvg's, nothing of one site alone can be seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import ConfigRecord, Error, Message, RecordDict
from flwr.common import bytes_to_ndarray
from flwr.common.constant import ErrorCode
from flwr.common.secure_aggregation.secaggplus_constants import RECORD_KEY_CONFIGS, Key, Stage

from client.opening import open_home
from client.store.reading_shelf import Opening
from protocol.records import Arrays, SiteUpdate, StepKey
from protocol.secagg import group_of, masking
from protocol.steps import Code, Refusal, StepRequest
from protocol.study import Study
from protocol.wire import from_wire, to_wire
from server.federation import QuorumLost
from server.secagg import Summed, summed
from simulations.engines.local import LocalGrid

SECURE = "aggregation.secure=true"
NAMES = ("north", "south", "west", "east", "centre")


class TappedGrid(LocalGrid):
    """Keeps every reply, and loses those of some nodes from a stage on."""

    lost: frozenset[int] = frozenset()
    stage: str = ""

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        asked = list(messages)
        stage = str(asked[0].content.config_records[RECORD_KEY_CONFIGS][Key.STAGE])
        told = list(super().send_and_receive(asked, timeout=timeout))
        self.told = [*getattr(self, "told", []), *((stage, m) for m in told)]
        gone = Stage.all().index(stage) >= Stage.all().index(self.stage or Stage.UNMASK)
        if not self.lost or not gone:
            return told
        by_node = {m.metadata.dst_node_id: m for m in asked}
        error = Error(ErrorCode.NODE_UNAVAILABLE, "gone")
        return [
            Message(error, reply_to=by_node[m.metadata.src_node_id])
            if m.metadata.src_node_id in self.lost
            else m
            for m in told
        ]


@dataclass
class Five:
    """Five sites with labels, ready to train."""

    study: Study
    weights: Arrays
    homes: list[Path]
    grids: list[TappedGrid] = field(default_factory=list)

    @property
    def request(self) -> StepRequest:
        return StepRequest(StepKey(self.study.identity, 0, "train", 0), 1, self.weights)

    def grid(self, sites: int = 5) -> TappedGrid:
        made = TappedGrid(self.homes[:sites])
        self.grids.append(made)
        return made

    def sum(self, grid: TappedGrid, sites: int = 5) -> Summed | None:
        nodes = list(grid.get_node_ids())[:sites]
        return summed(grid, nodes, self.request, masking(self.study, len(nodes)), 60.0)


@pytest.fixture
def five(
    tmp_path: Path,
    tiny_study: Callable[..., Study],
    tiny_site: Callable[..., Any],
    first_weights: Callable[[Study], Arrays],
    read_cases: Callable[..., int],
) -> Any:
    def make(*overrides: str) -> Five:
        study = tiny_study(*overrides)
        homes = []
        for number, name in enumerate(NAMES):
            site = tiny_site(study, name, number)
            cases = site.store.cases.pool(study.identity, study.audit.patients, 0)
            with site.store.transaction():
                site.store.readings.grant(study.identity, 0, 0, 4 + 2 * number)
                site.store.readings.open(
                    study.identity, 0, [Opening(int(c), "query") for c in cases[: 4 + 2 * number]]
                )
            read_cases(site.store, study, 0)
            homes.append(site.home)
        made.append(Five(study, first_weights(study), homes))
        return made[-1]

    made: list[Five] = []
    yield make
    for world in made:
        for grid in world.grids:
            grid.close()


def plain_updates(five: Five) -> list[SiteUpdate]:
    """What the sites send without a mask, from their answers that are remembered."""
    from client.dispatch import answer

    found = []
    for home in five.homes:
        site = open_home(home)
        reply = answer(site, five.request, masked=five.study.aggregation.secure)
        assert isinstance(reply, SiteUpdate)
        found.append(reply)
        site.store.close()
    return found


def weighted(updates: list[SiteUpdate]) -> dict[str, Any]:
    total = sum(u.weight for u in updates)
    return {
        name: sum(u.weight * u.arrays[name].astype(np.float64) for u in updates) / total
        for name in updates[0].arrays
    }


def test_secagg_gives_the_weighted_mean(five: Callable[..., Five]) -> None:
    made = five(SECURE)
    found = made.sum(made.grid())
    assert found is not None
    assert found.update is not None
    assert len(found.sites) == 5
    updates = plain_updates(made)
    assert {u.weight for u in updates} == {4.0, 6.0, 8.0, 10.0, 12.0}
    expected = weighted(updates)
    for name, array in expected.items():
        assert np.abs(found.update.arrays[name] - array).max() < 2e-5
    loss = sum(u.loss * u.weight for u in updates) / sum(u.weight for u in updates)
    assert found.update.loss == pytest.approx(loss, abs=1e-4)


def test_secagg_shows_nothing_of_one_site(five: Callable[..., Five]) -> None:
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


def test_secagg_survives_a_site_that_leaves_after_the_keys(five: Callable[..., Five]) -> None:
    made = five(SECURE)
    grid = made.grid()
    grid.lost, grid.stage = frozenset({1001}), Stage.COLLECT_MASKED_VECTORS
    found = made.sum(grid)
    assert found is not None
    assert found.update is not None
    assert found.sites == {1000, 1002, 1003, 1004}
    stayed = [u for u in plain_updates(made) if u.site != "south"]
    for name, array in weighted(stayed).items():
        assert np.abs(found.update.arrays[name] - array).max() < 2e-5


@pytest.mark.parametrize("stage", [Stage.SETUP, Stage.SHARE_KEYS])
def test_secagg_goes_on_without_a_site_that_leaves_early(
    five: Callable[..., Five], stage: str
) -> None:
    made = five(SECURE)
    grid = made.grid()
    grid.lost, grid.stage = frozenset({1003}), stage
    found = made.sum(grid)
    assert found is not None
    assert found.sites == {1000, 1001, 1002, 1004}


def test_secagg_below_the_threshold_tells_nothing_and_can_be_repeated(
    five: Callable[..., Five],
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


def test_secagg_trains_once_however_often_a_round_is_repeated(five: Callable[..., Five]) -> None:
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


def test_secagg_site_refuses_a_bare_train_of_a_secure_study(five: Callable[..., Five]) -> None:
    made = five(SECURE)
    grid = made.grid()
    asked = Message(to_wire(made.request), dst_node_id=1000, message_type="train")
    assert from_wire(one(grid, asked).content, Refusal) == Refusal(Code.BAD_REQUEST)


def test_secagg_site_refuses_masks_for_a_study_without(five: Callable[..., Five]) -> None:
    made = five()
    assert made.sum(made.grid()) is None


def one(grid: LocalGrid, message: Message) -> Message:
    """The reply to one message."""
    return next(iter(LocalGrid.send_and_receive(grid, [message])))


def setup_of(made: Five, **changes: Any) -> Message:
    agreed = masking(made.study, 5)
    said: dict[str, Any] = {
        Key.STAGE: Stage.SETUP, Key.SAMPLE_NUMBER: 5, Key.SHARE_NUMBER: agreed.shares,
        Key.THRESHOLD: agreed.threshold, Key.CLIPPING_RANGE: agreed.clipping,
        Key.TARGET_RANGE: agreed.levels, Key.MOD_RANGE: agreed.modulus,
        Key.MAX_WEIGHT: agreed.most,
    }  # fmt: skip
    content = RecordDict({RECORD_KEY_CONFIGS: ConfigRecord({**said, **changes})})
    group = group_of(made.request.key)
    return Message(content, dst_node_id=1000, message_type="train", group_id=group)


@pytest.mark.parametrize(
    "changes",
    [{Key.SAMPLE_NUMBER: 2}, {Key.THRESHOLD: 2}, {Key.CLIPPING_RANGE: 1e9},
     {Key.TARGET_RANGE: 4}, {Key.MOD_RANGE: 2**8}, {Key.MAX_WEIGHT: 1e-9}, {Key.SHARE_NUMBER: 3}],
)  # fmt: skip
def test_secagg_site_refuses_a_weaker_mask(
    five: Callable[..., Five], changes: dict[str, Any]
) -> None:
    made = five(SECURE)
    grid = made.grid()
    fine = one(grid, setup_of(made))
    assert not fine.has_error()
    told = one(grid, setup_of(made, **changes))
    assert told.has_error()
    assert told.error.reason == "bad-request"


@pytest.mark.parametrize(
    ("active", "dead"),
    [([1000, 1001, 1002, 1003], [1003, 1004]), ([1001, 1002, 1003, 1004], [1000]), ([1000], [])],
)
def test_secagg_site_does_not_help_to_open_one_update(
    five: Callable[..., Five], active: list[int], dead: list[int]
) -> None:
    """Both halves of a neighbour's mask, one's own pair keys, or a sum of one."""
    made = five(SECURE)
    grid = made.grid()
    grid.lost, grid.stage = frozenset({1003, 1004}), Stage.COLLECT_MASKED_VECTORS
    made.sum(grid, 5)
    said: dict[str, Any] = {
        Key.STAGE: Stage.UNMASK, Key.ACTIVE_NODE_ID_LIST: active, Key.DEAD_NODE_ID_LIST: dead,
    }  # fmt: skip
    content = RecordDict({RECORD_KEY_CONFIGS: ConfigRecord(said)})
    group = group_of(made.request.key)
    asked = Message(content, dst_node_id=1000, message_type="train", group_id=group)
    told = one(grid, asked)
    assert told.has_error()
    assert told.error.reason == "bad-request"


def test_secagg_whole_study_ends_where_the_plain_one_does(world: Callable[..., Any]) -> None:
    secure, plain = world(SECURE, name="secure"), world(name="plain")
    secure.run()
    plain.run()
    for name, array in plain.model(1).arrays.items():
        assert np.abs(secure.model(1).arrays[name] - array).max() < 1e-3


def test_secagg_lost_quorum_is_said(world: Callable[..., Any], monkeypatch: Any) -> None:
    made = world(SECURE)
    monkeypatch.setattr("server.secagg.summed", lambda *_: None)
    with pytest.raises(QuorumLost, match="fewer than 3 stayed to the end of the masked sum"):
        made.run()
