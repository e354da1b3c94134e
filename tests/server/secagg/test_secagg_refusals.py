"""What a site refuses under SecAgg+: a bare update, a weaker mask, an unmasking that opens one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flwr.common.secure_aggregation.secaggplus_constants import Key, Stage

from protocol.secagg import masking
from protocol.steps import Code, Refusal
from protocol.wire import from_wire

SECURE = "aggregation.secure=true"

WEAKER: tuple[dict[str, Any], ...] = (
    {Key.SAMPLE_NUMBER: 2}, {Key.THRESHOLD: 2}, {Key.CLIPPING_RANGE: 1e9}, {Key.TARGET_RANGE: 4},
    {Key.MOD_RANGE: 2**8}, {Key.MAX_WEIGHT: 1e-9}, {Key.SHARE_NUMBER: 3},
)  # fmt: skip

OPENING: tuple[tuple[list[int], list[int]], ...] = (
    ([1000, 1001, 1002, 1003], [1003, 1004]),  # both halves of a neighbour's mask
    ([1001, 1002, 1003, 1004], [1000]),  # one's own keys with the others
    ([1000], []),  # a sum of one
)


def test_secagg_site_refuses_a_bare_train_of_a_secure_study(five: Callable[..., Any]) -> None:
    told = five(SECURE, sites=1).bare()
    assert from_wire(told.content, Refusal) == Refusal(Code.BAD_REQUEST)


def test_secagg_site_refuses_masks_for_a_study_without(five: Callable[..., Any]) -> None:
    made = five(sites=3)
    assert made.sum(made.grid(), 3) is None


def test_secagg_site_refuses_a_weaker_mask(five: Callable[..., Any]) -> None:
    made = five(SECURE, sites=1)
    agreed = masking(made.study, 5)
    said: dict[str, Any] = {
        Key.SAMPLE_NUMBER: 5, Key.SHARE_NUMBER: agreed.shares, Key.THRESHOLD: agreed.threshold,
        Key.CLIPPING_RANGE: agreed.clipping, Key.TARGET_RANGE: agreed.levels,
        Key.MOD_RANGE: agreed.modulus, Key.MAX_WEIGHT: agreed.most,
    }  # fmt: skip
    assert not made.told(Stage.SETUP, **said).has_error()
    for weaker in WEAKER:
        told = made.told(Stage.SETUP, **said | weaker)
        assert told.has_error(), weaker
        assert told.error.reason == "bad-request"


@pytest.mark.slow
def test_secagg_site_does_not_help_to_open_one_update(five: Callable[..., Any]) -> None:
    made = five(SECURE)
    grid = made.grid()
    grid.lost, grid.stage = frozenset({1003, 1004}), Stage.COLLECT_MASKED_VECTORS
    made.sum(grid)
    for active, dead in OPENING:
        said = {Key.ACTIVE_NODE_ID_LIST: active, Key.DEAD_NODE_ID_LIST: dead}
        told = made.told(Stage.UNMASK, **said)
        assert told.has_error(), (active, dead)
        assert told.error.reason == "bad-request"
