"""Why a case was asked for, in words: by hand, and for every strategy of the table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from strategies.pool import Needs
from strategies.query import QUERY
from strategies.query.words import AT_RANDOM, why

NAMES = ("clear", "pneumonia", "effusion")


def said_of(name: str, probs: list[float], *, multi: bool = False, **signals: Any) -> str:
    needs = Needs(frozenset(signals.get("signals", {"probs"})), members=2)
    return why(name, needs, np.array(probs), NAMES, multi=multi)


def test_why_by_hand() -> None:
    even = said_of("entropy", [0.08, 0.52, 0.4])
    assert even == "The model was unsure between pneumonia and effusion (0.52 to 0.40)."
    sure = said_of("margin", [0.97, 0.02, 0.01])
    assert sure.startswith("The model was less sure of it than of other cases: clear rather than")
    several = said_of("entropy", [0.02, 0.45, 0.9], multi=True)
    assert several == "The model was unsure whether it shows pneumonia (0.45)."
    assert said_of("coreset", [1, 0, 0]) == "To the model it is unlike the cases read so far."


@pytest.mark.parametrize("name", QUERY)
@pytest.mark.parametrize("multi", [False, True])
def test_every_strategy_says_why(name: str, multi: bool) -> None:
    needs = QUERY[name]().needs
    said = why(name, needs, np.array([0.2, 0.5, 0.3]), NAMES, multi=multi)
    assert said[0].isupper()
    assert said.endswith(".")
    assert (said == AT_RANDOM) is (name == "random")


def test_a_strategy_of_somebody_s_own_is_judged_by_what_it_looks_at() -> None:
    assert "unsure between" in said_of("lab:X", [0.5, 0.3, 0.2])
    assert "unlike" in said_of("lab:X", [0.5, 0.3, 0.2], signals={"features"})
    assert "switched off" in said_of("lab:X", [0.5, 0.3, 0.2], signals={"mc_probs"})
    assert said_of("lab:X", [1, 0, 0], signals=()) != AT_RANDOM
