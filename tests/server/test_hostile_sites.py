"""A site that was broken into answers with what no gate lets out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from protocol.egress import Asking, admitted
from protocol.records import SiteUpdate
from server.exchange import Timing
from server.federation import Federation
from server.ledger import Stage

NAMES = ["west", "east", "mid", "north"]
QUICK = Timing(patience=0.6, grace=0.1, resend=0.1, retry=0.02, again=0.03, poll=0.004)
Nodes = Callable[..., Any]


@pytest.mark.parametrize(
    "wrong",
    [
        {"arrays": {"w": np.zeros(3, np.float32)}},
        {"arrays": {"w": np.full(2, np.nan, np.float32)}},
        {"arrays": {"w": np.zeros(2, np.float32), "x": np.zeros(2, np.float32)}},
        {"weight": float("inf")},
        {"weight": -1.0},
        {"steps": -1},
        {"site": "mid"},
    ],
)
def test_a_record_that_no_gate_would_let_out_is_not_taken(
    function_grid: Any, node: Nodes, tiny_study: Callable[..., Any], wrong: dict[str, Any]
) -> None:
    """One site that lies must not end the study of the others, again at every start."""
    asked = {"w": np.zeros(2, np.float32)}

    def update(name: str) -> SiteUpdate:
        return SiteUpdate(name, {"w": np.ones(2, np.float32)}, 3.0, 0.5, 2)

    answers = {name: (lambda _, n=name: update(n)) for name in NAMES}
    answers["east"] = lambda _: replace(update("east"), **wrong)
    nodes = {900 - i: node(n, i, answers[n]) for i, n in enumerate(NAMES)}
    made = Federation(
        function_grid(nodes),
        "s" * 64,
        5,
        0.75,
        QUICK,
        roster=lambda: dict(zip(NAMES, nodes, strict=True)),
    )
    made.fits = lambda reply, arrays: admitted(
        reply, Asking(getattr(reply, "site", ""), tiny_study(), arrays)
    )
    told = made.ask_all(Stage(0, "train"), asked, NAMES)
    assert [r.site for r in told if isinstance(r, SiteUpdate)] == ["west", "mid", "north"]
