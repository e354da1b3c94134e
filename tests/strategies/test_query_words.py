"""Why a case was asked for, in words: by hand, and for every strategy of the table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from strategies.pool import Needs, Pool
from strategies.query import QUERY
from strategies.query.ward import Ward
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


GROUPS = np.array([0] * 6 + [1] * 6 + [2])  # the last looks like no other case


def ward_of(strategy: Ward, multi: bool) -> tuple[Pool, list[int], list[str]]:
    """A pool of three groups of looks, the model nearly certain of the last; picks and words."""
    rng = np.random.default_rng(5)
    probs = np.column_stack([p := np.append(np.linspace(0.55, 0.93, 12), 0.99), 1 - p, 0 * p])
    signals: dict[str, Any] = {
        "probs": probs,
        "features": rng.standard_normal((13, 3)),
        "looks": np.eye(3)[GROUPS],
        "labeled_features": rng.standard_normal((4, 3)),
        "labeled_targets": np.eye(3)[[0, 1, 2, 0]],
        "head_weights": np.zeros((3, 3)),
        "head_bias": np.zeros(3),
    }
    pool = Pool(13, signals, multi)
    picks = strategy.select(pool, 4, rng).tolist()
    return pool, picks, [why("ward", strategy.needs, probs[i], NAMES, multi=multi) for i in picks]


@pytest.mark.parametrize("multi", [False, True])
def test_ward_s_words_hold_of_the_surest_case_which_looks_like_no_other(multi: bool) -> None:
    pool, picks, words = ward_of(Ward(balance=0.0), multi)
    doubt = np.minimum(pool.signals["probs"], 1 - pool.signals["probs"]).sum(axis=1)
    assert 12 in picks  # alone in its group, and the surest of all
    assert len(set(GROUPS[picks])) < len(picks)  # a group gave two, which are alike
    for row, said in zip(picks, words, strict=True):
        group = np.flatnonzero(np.equal(GROUPS, GROUPS[row]))
        before = doubt[group] > doubt[row]
        assert set(group[before].tolist()) <= set(picks)
        assert "Of its group of unread cases that look alike (a group may be a single case)" in said
        assert "was among those the model was least sure of" in said
        assert "than of other cases" not in said
        assert "unlike" not in said


def test_ward_s_words_by_hand() -> None:
    group = (
        "Of its group of unread cases that look alike (a group may be a single case) it was among "
        "those the model was least sure of"
    )
    looks = {"probs", "looks"}
    sure = said_of("ward", [0.97, 0.02, 0.01], signals=looks)
    assert sure == f"{group}: clear rather than pneumonia (0.97 to 0.02)."
    unsure = said_of("ward", [0.08, 0.52, 0.4], signals=looks)
    assert unsure == f"The model was unsure between pneumonia and effusion (0.52 to 0.40). {group}."
    several = said_of("ward", [0.02, 0.45, 0.9], multi=True, signals=looks)
    assert several == f"The model was unsure whether it shows pneumonia (0.45). {group}."
    none = said_of("ward", [0.02, 0.01, 0.05], multi=True, signals=looks)
    assert none == f"{group}, above all whether it shows effusion (0.05)."


def test_ward_with_arguments_claims_nothing_of_looks_or_doubt() -> None:
    for strategy in (Ward(mix="product"), Ward(space="gradients"), Ward(warm=(8.0, 24.0))):
        probs = np.array([0.5, 0.3, 0.2])
        said = why("ward", strategy.needs, probs, NAMES, multi=False, varied=True)
        assert said == "The study's own rule asked for it."


def test_doubt_of_a_sure_case_in_words() -> None:
    several = said_of("entropy", [0.02, 0.01, 0.05], multi=True)
    how = "was less sure of it than of other cases, and least whether it shows effusion (0.05)"
    assert several == f"The model {how}."
