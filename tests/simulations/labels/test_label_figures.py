from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from protocol.study import document
from simulations.benchmarks.labels.code import closure, tree, version
from simulations.benchmarks.labels.figures import alike, figures, runs_of
from simulations.benchmarks.labels.page import page, verdict
from simulations.benchmarks.labels.policies import lower_bound, moved, policies, saving
from simulations.benchmarks.labels.results import Results, trimmed
from simulations.benchmarks.labels.tracks import TRACKS
from simulations.plan import Plan

LABELS = (24, 72, 120)


def measured(auroc: float, loss: float) -> dict[str, Any]:
    numbers = {"auroc": [auroc, auroc, auroc], "log_loss": [loss, loss, loss]}
    scopes = dict.fromkeys(("pooled", "macro", "worst"), numbers)
    return {
        "audit": None,
        "locked": {
            "cases": 10,
            "patients": 10,
            "clustered": False,
            "unsettled": 0,
            **scopes,
            "sites": {"a": numbers, "b": numbers},
        },
    }


def cycle(number: int, readings: int, auroc: float, granted: tuple[int, int]) -> dict[str, Any]:
    per_site = {"a": readings // 2, "b": readings // 2}
    return {
        "cycle": number,
        "readings": readings,
        "training_readings": readings,
        "audit_readings": 0,
        "minutes": float(readings),
        "days": 1,
        "granted": dict(zip("ab", granted, strict=True)),
        "reasons": {},
        "spent": {},
        "returned": {},
        "labels": {s: [n / 4, 3 * n / 4] for s, n in per_site.items()},
        "site_minutes": {},
        "loss": [],
        "advice": "",
        "metrics": measured(auroc, 1 - auroc),
    }


def line(arm: str, seed: int, curve: tuple[float, ...], **more: Any) -> dict[str, Any]:
    granted = more.pop("granted", (24, 24))
    cycles = [cycle(-1, 0, 0.5, (0, 0))]
    cycles += [cycle(i, n, v, granted) for i, (n, v) in enumerate(zip(LABELS, curve, strict=True))]
    return {
        "kind": "run",
        "key": f"{arm}-{seed}",
        "track": "A",
        "file": "",
        "cell": "selectors",
        "scored_on": "val",
        "arm": arm,
        "seed": seed,
        "when": "2026-01-01T00:00:00+00:00",
        "code": "c",
        "cases": f"cases of {seed}",
        "weights": f"weights of {seed}",
        "identity": "i",
        "versions": {},
        "git": None,
        "wall": 1.0,
        "study": "schema = 1\n",
        "step_seconds": {"select": 0.6, "report": 0.3},
        "bytes_down": {"train": 1_000_000},
        "bytes_up": {"train": 500_000},
        "cycles": cycles,
        **more,
    }


def two_arms() -> list[dict[str, Any]]:
    found = []
    for seed in (0, 1):
        found.append(line("random", seed, (0.6, 0.7, 0.8)))
        found.append(line("coreset", seed, (0.6, 0.8, 0.9)))
        bound = line("full", seed, (0.6, 0.8, 0.9))
        bound["cycles"] = [bound["cycles"][0], cycle(0, 1000, 0.9, (500, 500))]
        found.append(bound)
    return found


def test_areas_gains_and_shares_by_hand() -> None:
    numbers = figures(TRACKS["A"], two_arms())
    arms = {arm.name: arm for arm in numbers.arms}
    assert numbers.left_out == 0
    assert arms["random"].aubc is not None
    assert arms["random"].aubc.mean == pytest.approx(0.7)
    assert arms["coreset"].aubc is not None
    assert arms["coreset"].aubc.mean == pytest.approx((0.7 + 0.85) / 2)
    gain = numbers.aubc["coreset"]
    assert gain.shift == pytest.approx(0.075)
    assert (gain.wins, gain.losses) == (2, 0)
    assert verdict(gain) == "exploratory"
    assert arms["coreset"].outcomes[0].share_of_bound == pytest.approx(1.0)
    reached = arms["coreset"].outcomes[0].reached[0.98]
    assert reached is not None
    assert reached.labels == 120
    assert arms["random"].outcomes[0].reached[0.98] is None
    assert min(arms["random"].outcomes[0].shares) == pytest.approx(0.25)


def test_costs_by_hand() -> None:
    cost = figures(TRACKS["A"], two_arms()).costs["coreset"]
    assert cost.query == pytest.approx(0.3)  # 0.6 s; it chose in two cycles, the first is random
    assert cost.report == pytest.approx(0.1)
    assert cost.megabytes == pytest.approx(1.5)
    assert cost.minutes == 120


def test_a_run_that_began_otherwise_is_left_out_and_counted() -> None:
    lines = two_arms()
    lines[1]["weights"] = "another network"
    lines[1]["when"] = "2025-01-01T00:00:00+00:00"  # older than the rest of its seed
    kept, left_out = alike(lines)
    assert left_out == 1
    assert lines[1] not in kept
    assert figures(TRACKS["A"], lines).left_out == 1


def test_what_newer_records_tell_besides_leaves_older_runs_comparable() -> None:
    lines = two_arms()
    for found in lines[1]["cycles"]:
        found["metrics"]["locked"]["bounds"] = {}
    assert alike(lines)[1] == 0
    lines[1]["cycles"][0]["metrics"]["locked"]["pooled"] = {"auroc": [0.1, 0.1, 0.1]}
    assert alike(lines)[1] > 0


def test_other_first_labels_are_no_pair_unless_a_policy_shared_them() -> None:
    lines = two_arms()
    lines[1]["cycles"][1]["labels"] = {"a": [12, 0], "b": [0, 12]}
    lines[1]["when"] = "2025-01-01T00:00:00+00:00"
    assert alike(lines)[1] == 1
    lines[1]["arm"] = "coreset@proportional"
    assert alike(lines)[1] == 0


def test_the_newest_run_of_an_arm_and_seed_counts() -> None:
    lines = [*two_arms(), line("random", 0, (0.6, 0.9, 0.9), key="newer")]
    arms = {arm.name: arm for arm in figures(TRACKS["A"], lines).arms}
    assert [o.final for o in arms["random"].outcomes] == [0.9, 0.8]


def test_the_lower_bound_of_a_mean_by_hand() -> None:
    assert lower_bound([0.1]) is None
    # mean 0.2, sd 0.1, n 3: t of 0.95 with 2 degrees is 2.919986
    assert lower_bound([0.1, 0.2, 0.3]) == pytest.approx(0.2 - 2.919986 * 0.1 / 3**0.5)


def test_moved_is_the_share_that_went_elsewhere_than_equal_and_rounding_is_nothing() -> None:
    equal, half, odd = runs_of(
        [
            line("a", 0, (0.6, 0.7, 0.8), granted=(24, 24)),
            line("b", 0, (0.6, 0.7, 0.8), granted=(36, 12)),
            line("c", 0, (0.6, 0.7, 0.8), granted=(24, 25)),
        ]
    ).runs
    assert moved(equal) == 0
    assert moved(half) == pytest.approx((11.5 + 11.5) / 2 / 48)
    assert moved(odd) == 0


def test_saved_minutes_are_those_not_needed_for_what_uniform_reached() -> None:
    uniform = runs_of([line("coreset", 0, (0.6, 0.7, 0.8))]).runs[0]
    early = runs_of([line("coreset@safe", 0, (0.6, 0.8, 0.9))]).runs[0]
    never = runs_of([line("coreset@safe", 0, (0.6, 0.7, 0.79))]).runs[0]
    assert saving(early, uniform, TRACKS["A"]) == pytest.approx(1 - 72 / 120)
    assert saving(uniform, uniform, TRACKS["A"]) == 0
    assert saving(never, uniform, TRACKS["A"]) is None


def test_policies_are_held_against_the_same_strategy_with_uniform() -> None:
    lines = [*two_arms()]
    lines += [line("coreset@safe", s, (0.6, 0.8, 0.88), granted=(36, 12)) for s in (0, 1)]
    found = policies(TRACKS["A"], lines, "coreset")
    assert list(found) == ["coreset@safe"]
    assert found["coreset@safe"].paired.mean == pytest.approx(-0.005)
    assert found["coreset@safe"].final_loss == pytest.approx(0.02)
    assert found["coreset@safe"].held == 0


def test_a_line_keeps_few_metrics_and_a_cut_line_is_left_out(tmp_path: Path) -> None:
    full = cycle(0, 24, 0.7, (12, 12))
    full["metrics"]["locked"]["pooled"] = dict(full["metrics"]["locked"]["pooled"])
    full["metrics"]["locked"]["pooled"]["brier"] = [0.1, 0.1, 0.1]
    kept = trimmed(full)["metrics"]["locked"]["pooled"]
    assert set(kept) == {"auroc", "log_loss"}
    results = Results(tmp_path / "deep" / "results.jsonl")
    assert results.runs() == []
    results.add(line("random", 0, (0.6, 0.7, 0.8)))
    with results.path.open("a") as file:
        file.write('{"kind": "run", "key": "cut')
    assert results.keys() == {("random-0", "random")}


def test_uniform_by_name_and_by_default_are_runs_of_their_own(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.jsonl")
    for arm in ("coreset", "coreset@uniform", "coreset@safe"):
        key = "safe" if arm.endswith("safe") else "one study"
        results.add(line(arm, 0, (0.6, 0.7, 0.8), key=key))
    assert [x["arm"] for x in results.runs()] == ["coreset", "coreset@uniform", "coreset@safe"]
    assert list(policies(TRACKS["A"], results.runs(), "coreset")) == [
        "coreset@uniform",
        "coreset@safe",
    ]


def test_the_page_tells_of_confirmations_and_of_what_failed(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.jsonl")
    for found in two_arms():
        results.add(found)
    told = {"track": "A", "cell": "selectors", "seeds": "100-119", "arms": ["random", "ward"]}
    results.add({"kind": "confirmation", "event": "begun", "when": "now", "failed": 0, **told})
    results.add({**line("ward", 3, (0.6, 0.7, 0.8)), "kind": "failed", "error": "Broken: it\nx"})
    text = page(results)
    assert "| `coreset` | 2 |" in text
    assert "exploratory" in text
    assert "seeds 100-119, arms random, ward" in text
    assert "`ward`, seed 3: Broken: it" in text
    assert text == page(results)


def test_words_and_layout_do_not_change_the_code_but_numbers_do(tmp_path: Path) -> None:
    texts = {
        "plain": "def f(x):\n    return x + 1\n",
        "told": '"""Told."""\ndef f(x):\n    """What."""\n    # why\n    return (x + 1)\n',
        "other": "def f(x):\n    return x + 2\n",
    }
    hashes = {}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        hashes[name] = tree(tmp_path / name)
    assert hashes["plain"] == hashes["told"] != hashes["other"]


@pytest.mark.slow
def test_the_code_of_a_run_is_that_of_the_strategies_it_names() -> None:
    plan = Plan(document(TRACKS["A"].study), "A", ("random", "coreset"), (0,), "val")
    random, coreset = (version(plan.study_of(arm, 0)) for arm in plan.arms)
    assert random != coreset == version(plan.study_of("coreset", 1))
    modules = closure(["strategies.query.coreset"])
    assert "strategies.pool" in modules
    assert "strategies.query.badge" not in modules
