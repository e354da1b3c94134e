from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simulations.benchmarks.labels.figures import runs_of
from simulations.benchmarks.labels.minutes import Saved, saved
from simulations.benchmarks.labels.page import page
from simulations.benchmarks.labels.policies import lower_bound, moved, policies
from simulations.benchmarks.labels.results import Results
from simulations.benchmarks.labels.summary import summary
from simulations.benchmarks.labels.tracks import TRACKS

Make = Callable[..., dict[str, Any]]
Lines = list[dict[str, Any]]


def test_the_lower_bound_of_a_mean_by_hand() -> None:
    assert lower_bound([0.1]) is None
    # mean 0.2, sd 0.1, n 3: t of 0.95 with 2 degrees is 2.919986
    assert lower_bound([0.1, 0.2, 0.3]) == pytest.approx(0.2 - 2.919986 * 0.1 / 3**0.5)


@pytest.mark.parametrize(
    ("granted", "share"),
    [((24, 24), 0.0), ((36, 12), 12 / 48), ((24, 25), 0.0), ((25, 24), 0.0), ((26, 23), 1 / 49)],
)
def test_moved_is_the_share_that_uniform_would_have_given_another_site(
    granted: tuple[int, int], share: float, line: Make
) -> None:
    (run,) = runs_of([line("a", 0, (0.6, 0.7, 0.8), granted=granted)]).runs
    assert moved(run) == pytest.approx(share)


def test_minutes_are_read_off_mean_curves(line: Make) -> None:
    def found(ours: Lines, uniform: Lines) -> Saved | None:
        runs = runs_of([*ours, *uniform]).runs
        return saved(list(zip(runs[: len(ours)], runs[len(ours) :], strict=True)), TRACKS["A"])

    def curves(arm: str, *values: tuple[float, ...]) -> Lines:
        return [line(arm, seed, curve) for seed, curve in enumerate(values)]

    # at 24, 72 and 120 minutes; the mean is (0.6, 0.75, 0.8)
    uniform = curves("coreset", (0.6, 0.9, 0.8), (0.6, 0.6, 0.8))
    same = found(curves("coreset@safe", (0.6, 0.9, 0.8), (0.6, 0.6, 0.8)), uniform)
    assert same == Saved(0, 0, 0)
    early = found(curves("coreset@safe", (0.6, 0.8, 0.9), (0.6, 0.8, 0.9)), uniform)
    assert early is not None
    assert early.share == pytest.approx(1 - 72 / 120)
    assert early.low <= early.share <= early.high
    between = found(curves("coreset@safe", (0.6, 0.75, 0.85), (0.6, 0.75, 0.85)), uniform)
    assert between is not None
    assert between.share == pytest.approx(1 - 96 / 120)  # half of the way from 72 to 120
    dips = found(curves("coreset@safe", (0.6, 0.9, 0.7), (0.6, 0.9, 0.8)), uniform)
    assert dips is not None
    assert dips.share == -math.inf
    assert str(dips).startswith("never (never to ")
    assert found(uniform[:1], uniform[:1]) is None


def with_loss(made: dict[str, Any], loss: float) -> dict[str, Any]:
    """The run with that log-loss at its worst site at the end."""
    locked = made["cycles"][-1]["metrics"]["locked"]
    locked["worst"] = locked["worst"] | {"log_loss": [loss] * 3}
    return made


@pytest.mark.parametrize(
    ("pairs", "last", "loss", "safe"),
    [
        (20, 0.8, 0.21, "yes"),
        (20, 0.8, 0.211, "no"),  # log-loss alone
        (20, 0.7, 0.2, "no"),  # AUBC alone
        (19, 0.8, 0.2, "exploratory"),
    ],
)
def test_a_policy_is_safe_by_its_aubc_and_by_the_worst_sites_log_loss(
    pairs: int, last: float, loss: float, safe: str, line: Make, tmp_path: Path
) -> None:
    results = Results(tmp_path / "results.jsonl")
    for seed in range(pairs):
        results.add(with_loss(line("coreset", seed, (0.6, 0.7, 0.8)), 0.2))
        results.add(with_loss(line("coreset@safe", seed, (0.6, 0.7, last)), loss))
    found = policies(TRACKS["A"], results.runs(), "coreset")["coreset@safe"]
    assert found.safe == safe
    (told,) = summary(results)["policies"]
    assert (told["safe"], told["worst_loss"]) == (safe, pytest.approx(loss - 0.2))
    said = page(results)
    assert f"| {loss - 0.2:+.3f} | {safe} | 0.0% |" in said
    for column in ("worst log-loss, more", "lower bound", "budget moved"):
        assert f"| {column} |" in said
        assert f"{column.capitalize()}" in said or f"*{column}*" in said


def test_policies_are_held_against_the_same_strategy_with_uniform(
    two_arms: Lines, line: Make
) -> None:
    lines = [*two_arms]
    lines += [line("coreset@safe", s, (0.6, 0.8, 0.88), granted=(36, 12)) for s in (0, 1)]
    found = policies(TRACKS["A"], lines, "coreset")
    assert list(found) == ["coreset@safe"]
    assert found["coreset@safe"].paired.mean == pytest.approx(-0.005)
    assert found["coreset@safe"].final_loss == pytest.approx(0.02)
    assert str(found["coreset@safe"].saved) == "never (never to never)"
