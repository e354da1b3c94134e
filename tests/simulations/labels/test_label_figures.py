from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from protocol.study import document
from simulations.benchmarks.labels.code import closure, tree, version
from simulations.benchmarks.labels.figures import alike, figures
from simulations.benchmarks.labels.gained import early, ends
from simulations.benchmarks.labels.one import Job
from simulations.benchmarks.labels.ours import against_others, duels
from simulations.benchmarks.labels.page import page
from simulations.benchmarks.labels.policies import policies
from simulations.benchmarks.labels.results import Results, trimmed
from simulations.benchmarks.labels.shown import mean, verdict
from simulations.benchmarks.labels.tracks import TRACKS
from simulations.benchmarks.labels.work import unknown
from simulations.plan import Plan
from simulations.results.outcomes import Summary

Make = Callable[..., dict[str, Any]]
Lines = list[dict[str, Any]]


def test_areas_gains_and_shares_by_hand(two_arms: Lines) -> None:
    numbers = figures(TRACKS["A"], two_arms)
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


def test_costs_by_hand(two_arms: Lines) -> None:
    cost = figures(TRACKS["A"], two_arms).costs["coreset"]
    assert cost.query == pytest.approx(0.3)  # 0.6 s; it chose in two cycles, the first is random
    assert cost.report == pytest.approx(0.1)
    assert cost.megabytes == pytest.approx(1.5)
    assert cost.minutes == 120


def test_a_run_that_began_otherwise_is_left_out_and_counted(two_arms: Lines) -> None:
    lines = two_arms
    lines[1]["cycles"][0] = lines[1]["cycles"][1] | {"cycle": -1}  # another network
    lines[1]["when"] = "2025-01-01T00:00:00+00:00"  # older than the rest of its seed
    kept, left_out = alike(lines)
    assert left_out == 1
    assert lines[1] not in kept
    assert figures(TRACKS["A"], lines).left_out == 1


def test_a_layer_without_weights_leaves_a_run_in_its_table(two_arms: Lines) -> None:
    two_arms[1]["weights"] = "the same numbers under other names of layers"
    assert alike(two_arms)[1] == 0


def test_what_newer_records_tell_besides_leaves_older_runs_comparable(two_arms: Lines) -> None:
    lines = two_arms
    for found in lines[1]["cycles"]:
        found["metrics"]["locked"]["bounds"] = {}
    assert alike(lines)[1] == 0
    lines[1]["cycles"][0]["metrics"]["locked"]["pooled"] = {"auroc": [0.1, 0.1, 0.1]}
    assert alike(lines)[1] > 0


def test_other_first_labels_are_no_pair_unless_a_policy_shared_them(two_arms: Lines) -> None:
    lines = two_arms
    lines[1]["cycles"][1]["labels"] = {"a": [12, 0], "b": [0, 12]}
    lines[1]["when"] = "2025-01-01T00:00:00+00:00"
    assert alike(lines)[1] == 1
    lines[1]["arm"] = "class-balanced+query.arguments.inner=coreset"  # asks from the second cycle
    assert alike(lines)[1] == 1
    for other in ("coreset@proportional", "coreset+training.loss=evidential", "coreset~flip"):
        lines[1]["arm"] = other
        assert alike(lines)[1] == 0


def test_the_newest_run_of_an_arm_and_seed_counts(two_arms: Lines, line: Make) -> None:
    lines = [*two_arms, line("random", 0, (0.6, 0.9, 0.9), key="newer")]
    arms = {arm.name: arm for arm in figures(TRACKS["A"], lines).arms}
    assert [o.final for o in arms["random"].outcomes] == [0.9, 0.8]


def test_a_line_keeps_few_metrics_and_a_cut_line_is_left_out(
    tmp_path: Path, line: Make, cycle: Make
) -> None:
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
    assert results.keys() == {("random-0", "random", "selectors")}


def test_two_cells_of_one_recipe_are_two_runs(tmp_path: Path, line: Make) -> None:
    first, again = (Job("C", cell, "test", "random", 100) for cell in ("selectors", "further"))
    assert first.key() == again.key()  # the cell changes nothing of the recipe
    results, told = Results(tmp_path / "results.jsonl"), {"track": "C", "scored_on": "test"}
    results.add(line("random", 100, (0.6, 0.7, 0.8), key=first.key(), **told))
    assert unknown([first, again], results) == [again]
    results.add(line("random", 100, (0.6, 0.7, 0.8), key=first.key(), cell="further", **told))
    assert unknown([first, again], results) == []
    assert [run["cell"] for run in results.runs()] == ["selectors", "further"]


def test_a_table_counts_the_newest_run_of_an_arm_and_seed(tmp_path: Path, line: Make) -> None:
    results = Results(tmp_path / "results.jsonl")
    for made in (line("random", 0, (0.6, 0.7, 0.8)), line("random", 1, (0.6, 0.7, 0.8))):
        results.add(made)
        results.add({**made, "key": f"newer {made['key']}"})
    assert "Written from 2 runs" in page(results)


def test_half_an_interval_is_of_the_side_that_is_not_cut() -> None:
    assert mean(Summary(0.9905, (0.9622, 1.0), 2)) == "0.9905 ± 0.0283"
    assert mean(Summary(0.8, (0.75, 0.85), 5)) == "0.8000 ± 0.0500"
    assert mean(Summary(0.8, None, 1)) == "0.8000"


def test_uniform_by_name_and_by_default_are_runs_of_their_own(tmp_path: Path, line: Make) -> None:
    results = Results(tmp_path / "results.jsonl")
    for arm in ("coreset", "coreset@uniform", "coreset@safe"):
        key = "safe" if arm.endswith("safe") else "one study"
        results.add(line(arm, 0, (0.6, 0.7, 0.8), key=key))
    assert [x["arm"] for x in results.runs()] == ["coreset", "coreset@uniform", "coreset@safe"]
    assert list(policies(TRACKS["A"], results.runs(), "coreset")) == [
        "coreset@uniform",
        "coreset@safe",
    ]


def test_the_page_tells_of_confirmations_and_of_what_failed(
    tmp_path: Path, two_arms: Lines, line: Make
) -> None:
    results = Results(tmp_path / "results.jsonl")
    for found in two_arms:
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


def many(line: Make, arms: Mapping[str, tuple[float, ...]], pairs: int) -> Lines:
    """Every arm with its curve on so many seeds, and the bound."""
    curves = {**arms, "full": (0.9, 0.9, 0.9)}
    return [line(name, seed, curve) for seed in range(pairs) for name, curve in curves.items()]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        (20, ("ward above", "no difference shown", "ward below")),
        (19, ("exploratory",) * 3),
    ],
)
def test_ours_is_held_against_every_published_method_of_the_table(
    pairs: int, said: tuple[str, str, str], line: Make, tmp_path: Path
) -> None:
    curves = {"ward": (0.6, 0.8, 0.9), "logo": (0.6, 0.7, 0.8), "badge": (0.6, 0.8, 0.9)}
    curves |= {"feal+training.loss=evidential": (0.6, 0.85, 0.95), "entropy": (0.6, 0.7, 0.8)}
    results = Results(tmp_path / "results.jsonl")
    for made in many(line, curves, pairs):
        results.add(made)
    text = page(results)
    for arm, words in zip(("logo", "badge", "feal+training.loss=evidential"), said, strict=True):
        for measure in ("AUBC", "final AUROC", "worst site's final AUROC"):
            (row,) = [x for x in text.splitlines() if x.startswith(f"| {measure} | `{arm}` |")]
            assert row.endswith(f"| {words} |"), row
    assert "| AUBC | `entropy` |" not in text  # none of the published ones that count
    few = many(line, {"ward": (0.6, 0.7, 0.9), "logo": (0.6, 0.7, 0.8)}, 3)
    (logo,) = duels(figures(TRACKS["A"], few).arms, "final")
    assert logo.shift == pytest.approx(0.1)  # ours minus the method


def test_a_table_without_ours_is_held_against_random_alone(two_arms: Lines) -> None:
    assert list(against_others(figures(TRACKS["A"], two_arms).arms)) == []


def test_every_measure_of_the_end_is_tested_and_less_log_loss_is_better(line: Make) -> None:
    curves = {"random": (0.6, 0.7, 0.8), "ward": (0.6, 0.8, 0.9)}
    numbers = figures(TRACKS["A"], many(line, curves, 20))
    assert numbers.final["ward"].shift == pytest.approx(0.1)
    assert numbers.worst["ward"].shift == pytest.approx(0.1)
    assert numbers.worst_loss["ward"].shift == pytest.approx(-0.1)
    (row,) = [x for x in ends(numbers) if x.startswith("| `ward`")]
    assert row.count("| 20/20 | < 0.001 | win |") == 3


def test_the_share_by_72_labels_is_of_the_seeds_that_have_a_bound(line: Make) -> None:
    lines = [
        *(line("random", s, curve) for s, curve in enumerate([
            (0.6, 0.9, 0.9),  # at 72, and held
            (0.6, 0.9, 0.8),  # at 72, and lost again
            (0.6, 0.8, 0.9),  # at 120
            (0.9, 0.9, 0.8),  # at 24
            (0.9, 0.9, 0.9),  # without a bound
        ])),
        *(line("full", s, (0.9, 0.9, 0.9)) for s in range(4)),
    ]  # fmt: skip
    arm = figures(TRACKS["A"], lines).arms[0]
    assert early(arm) == (2, 4)
    assert early(arm, labels=120) == (3, 4)


def test_versions_are_counted_within_an_arm_and_commits_over_the_table(
    two_arms: Lines, tmp_path: Path
) -> None:
    for made in two_arms:
        made |= {"code": f"of {made['arm']}", "git": "one"}  # every strategy has code of its own
    numbers = figures(TRACKS["A"], two_arms)
    assert (numbers.codes, numbers.commits) == (1, ("one",))
    two_arms[1] |= {"code": "older coreset", "git": "another"}
    numbers = figures(TRACKS["A"], two_arms)
    assert (numbers.codes, numbers.commits) == (2, ("another", "one"))
    results = Results(tmp_path / "results.jsonl")
    for made in two_arms:
        results.add(made)
    assert "An arm's runs are of up to 2 versions of its code; commits another, one." in page(
        results
    )


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


@pytest.mark.slow
def test_the_code_of_a_run_is_that_of_its_network_too_and_of_what_a_strategy_wraps() -> None:
    modules = closure(["client.learning.networks", "server.sharing", "simulations.people"])
    for module in ("client.learning.monai_networks", "server.merging", "simulations.turns"):
        assert module in modules
    arms = ["entropy", "fedal"]
    arms += [f"{name}+query.cost_weighted=true" for name in arms]
    plan = Plan(document(TRACKS["A"].study), "A", tuple(arms), (0,), "val")
    assert len({version(plan.study_of(arm, 0)) for arm in arms}) == len(arms)
