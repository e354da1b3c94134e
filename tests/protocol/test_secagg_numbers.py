"""What both sides derive of SecAgg+ from the study: masks with room, means, and names of steps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from protocol.codec import CodecError
from protocol.records import Arrays, SiteUpdate, StepKey
from protocol.secagg import changes, group_of, key_of, masking, mean_update
from protocol.study import Study, StudyError
from strategies.chosen import check_sites, decisions

SECURE = "aggregation.secure=true"


def test_secagg_needs_three_sites_and_an_aggregator_that_sums(
    tiny_study: Callable[..., Study],
) -> None:
    with pytest.raises(StudyError, match="'median' compares the sites' own updates"):
        decisions(tiny_study(SECURE, "aggregation.name=median"))
    study = tiny_study(SECURE)
    check_sites(study, decisions(study), 3)
    with pytest.raises(StudyError, match="accepted are 3 sites or more"):
        check_sites(study, decisions(study), 2)


def test_secagg_masking_leaves_room_for_the_sum(tiny_study: Callable[..., Study]) -> None:
    for sites in (3, 4, 6, 7, 16, 50, 1000):
        found = masking(tiny_study(SECURE), sites)
        assert sites * found.levels <= found.modulus
        assert sites / 2 < found.threshold < found.shares == sites
    assert masking(tiny_study(SECURE), 6).threshold == 4


def test_secagg_mean_of_no_weight_is_none() -> None:
    start: Arrays = {"w": np.zeros(2, dtype=np.float32)}
    update = SiteUpdate("a", {"w": np.array([1.0, 3.0], dtype=np.float32)}, 2.0, 0.5, 7)
    told = changes(update, start)
    back = mean_update(told, start, 3)
    assert back is not None
    assert back.arrays["w"].tolist() == [1.0, 3.0]
    assert (back.loss, back.steps, back.weight) == (0.5, 7, 3.0)
    assert mean_update([np.full(2, np.nan), np.zeros(2)], start, 3) is None
    with pytest.raises(CodecError):
        mean_update([np.zeros(3), np.zeros(2)], start, 3)


@pytest.mark.parametrize("group", ["", "x 0 0", "0" * 64 + " -1 0", "0" * 64 + " 0"])
def test_secagg_group_names_a_step(group: str) -> None:
    key = StepKey("a" * 64, 3, "train", 12)
    assert key_of(group_of(key)) == key
    with pytest.raises(CodecError):
        key_of(group)
