"""The scored pool beside the database."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from client import scored_pool
from client.scored_pool import ScoredPool


def test_a_scored_pool_comes_back_whole_and_only_two_are_kept(tmp_path: Path) -> None:
    probs = np.array([[0.1, 0.9], [0.5, 0.5], [0.8, 0.2]])
    anchors = np.ones((2, 4), dtype=np.float32)
    for cycle in range(4):
        kept = {"probs": probs, "labeled_features": anchors, "head_weights": anchors}
        scored_pool.write(tmp_path, ScoredPool("s", cycle, np.array([3, 5, 9]), kept))
    assert [scored_pool.read(tmp_path, "s", c) is not None for c in range(4)] == [
        False, False, True, True,
    ]  # fmt: skip
    back = scored_pool.read(tmp_path, "s", 3)
    assert back is not None
    ids, pool = back.pool(np.array([9, 3, 77]), multi_label=False)
    assert ids.tolist() == [3, 9]
    assert pool.require("probs").tolist() == probs[[0, 2]].tolist()
    assert pool.require("labeled_features").shape == (2, 4)  # of labeled cases: all of them
    assert pool.require("head_weights").shape == (2, 4)  # of the model: all of it
    with pytest.raises(ValueError, match="read-only"):
        pool.require("probs")[0, 0] = 1.0
    (tmp_path / "scored-pools" / "s-3.safetensors").write_bytes(b"half a fi")
    assert scored_pool.read(tmp_path, "s", 3) is None
