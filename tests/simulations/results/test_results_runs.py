from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simulations.documents import NotARun
from simulations.results.compare import compare
from simulations.results.pairing import NotPaired, check
from simulations.results.runs import load, rules

Simulated = Callable[..., Path]


def edit(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def edit_cycle(run: Path, line: int, change: Callable[[dict[str, Any]], Any]) -> None:
    lines = (run / "cycles.jsonl").read_text().splitlines()
    document = json.loads(lines[line])
    change(document)
    lines[line] = json.dumps(document)
    (run / "cycles.jsonl").write_text("\n".join(lines))


def test_arms_come_in_the_order_asked_for_with_the_bound_last(simulated: Simulated) -> None:
    runs = load([simulated(arms=("full", "random", "coreset"))])
    assert runs.arms == ("random", "coreset", "full")
    assert [(r.arm, r.seed) for r in runs.runs[:3]] == [("random", 0), ("random", 1), ("random", 2)]
    assert [c.cycle for c in runs.runs[0].cycles] == [-1, 0, 1, 2, 3, 4]
    assert not runs.warnings


def test_unfinished_runs_are_named_and_left_out(simulated: Simulated) -> None:
    out = simulated(unfinished=(("coreset", 1),))
    (out / "random" / "seed-2" / "run.json").unlink()
    runs = load([out])
    assert [r.seed for r in runs.of("coreset")] == [0, 2]
    assert runs.warnings == (
        "out: arm coreset, seed 1 has not finished and is left out",
        "out: arm random, seed 2 was not begun and is left out",
    )


def test_nothing_finished_is_refused(simulated: Simulated) -> None:
    out = simulated(arms=("random",), seeds=(0,), unfinished=(("random", 0),))
    with pytest.raises(NotARun, match="no finished run in"):
        load([out])


def test_a_single_run_directory_is_enough(simulated: Simulated) -> None:
    runs = load([simulated() / "coreset" / "seed-1"])
    assert [(r.arm, r.seed) for r in runs.runs] == [("coreset", 1)]


def test_more_seeds_from_another_directory_join_their_arm(simulated: Simulated) -> None:
    runs = load([simulated("a", seeds=(0, 1)), simulated("b", seeds=(2, 3))])
    assert runs.arms == ("coreset", "random", "full")
    assert runs.seeds == (0, 1, 2, 3)


def test_the_same_seed_from_two_directories_takes_their_names(simulated: Simulated) -> None:
    runs = load([simulated("a", arms=("coreset",)), simulated("b", arms=("coreset",))])
    assert runs.arms == ("a/coreset", "b/coreset")
    check(runs)


@pytest.mark.parametrize(
    ("break_it", "sentence"),
    [
        (lambda o: (o / "simulation.json").unlink(), "simulation.json cannot be read"),
        (lambda o: (o / "simulation.json").write_text("[]"), "holds no JSON object"),
        (lambda o: edit(o / "simulation.json", lambda d: d.update(schema=2)), "schema = 2: acc"),
        (lambda o: edit(o / "simulation.json", lambda d: d.pop("sites")), "sites: field required"),
        (lambda o: edit(o / "random/seed-0/run.json", lambda d: d.update(schema=7)), "= 7: acc"),
        (
            lambda o: (o / "random/seed-0/run.json").write_text("[]"),
            "run.json holds no JSON object",
        ),
        (lambda o: (o / "random/seed-0/study.toml").write_text("= ="), "cannot be read"),
        (lambda o: (o / "random/seed-0/cycles.jsonl").write_text('{"cycle": 0'), "cannot be read"),
        (
            lambda o: edit_cycle(o / "random/seed-0", 1, lambda d: d.update(cycle=3)),
            r"holds cycles \[-1, 3, 1",
        ),
        (
            lambda o: edit_cycle(o / "random/seed-0", 1, lambda d: d.pop("minutes")),
            "minutes: field required",
        ),
        (
            lambda o: edit_cycle(
                o / "random/seed-0", 1, lambda d: d["metrics"]["locked"]["pooled"].update(ece=[1])
            ),
            r"pooled: ece is \[1\]; accepted is \[estimate, low, high\]",
        ),
    ],
)
def test_damage_is_refused_in_one_sentence(
    simulated: Simulated, break_it: Callable[[Path], Any], sentence: str
) -> None:
    out = simulated()
    break_it(out)
    with pytest.raises(NotARun, match=sentence) as refused:
        load([out])
    assert "\n" not in str(refused.value)


def test_no_directory_is_refused() -> None:
    with pytest.raises(NotARun, match="no directory given"):
        load([])


def test_rules_are_the_study_without_name_seed_and_more() -> None:
    one = 'name = "a"\nseed = 1\n[query]\nstrategy = "x"\nk = 2\n'
    two = 'name = "b"\nseed = 2\n[query]\nstrategy = "y"\nk = 2\n'
    assert rules(one) != rules(two)
    assert rules(one, ["query.strategy"]) == rules(two, ["query.strategy"])
    assert tomllib.loads(one)["name"] == "a"


def test_alike_arms_are_paired(simulated: Simulated) -> None:
    check(load([simulated()]))


@pytest.mark.parametrize("name", ["data", "weights"])
def test_another_hash_is_not_paired(simulated: Simulated, name: str) -> None:
    out = simulated()
    edit(out / "random/seed-1/run.json", lambda d: d.update({name: "f" * 64}))
    with pytest.raises(NotPaired, match=f"arm random, seed 1: hash of the {name} ffffffffffff"):
        check(load([out]))


@pytest.mark.slow
def test_another_baseline_names_arm_seed_and_metric(simulated: Simulated) -> None:
    out = simulated()

    def nudge(document: dict[str, Any]) -> None:
        document["metrics"]["locked"]["sites"]["site-02"]["brier"][0] += 1e-15

    edit_cycle(out / "full/seed-2", 0, nudge)
    told = "arm full, seed 2: locked site-02 brier before the first cycle is"
    with pytest.raises(NotPaired, match=told):
        check(load([out]))


def other_start(arm: str, seed: int, cycle: int) -> float:
    return 0.5 if cycle < 0 else 0.8 + (0.01 if arm == "coreset" else 0.0)


def test_another_first_cycle_is_not_paired(simulated: Simulated) -> None:
    with pytest.raises(NotPaired, match="arm random, seed 0: audit macro auprc after cycle 1 is"):
        check(load([simulated(height=other_start)]))


def test_arms_with_different_cold_starts_may_differ_after_it(simulated: Simulated) -> None:
    check(load([simulated(height=other_start, cold_start={"coreset": "coreset"})]))


def test_labels_of_a_multi_label_task_are_not_counts_of_classes(simulated: Simulated) -> None:
    out = simulated(arms=("random",), seeds=(0,))
    run = load([out]).runs[0]
    assert run.labels_at(run.cycles[-1]) == 90
    study = out / "random/seed-0/study.toml"
    study.write_text(study.read_text().replace("[task]", '[task]\nkind = "multi-label"'))
    edit_cycle(out / "random/seed-0", -1, lambda d: d["labels"].update({"site-01": [9, 900]}))
    run = load([out]).runs[0]
    assert run.labels_at(run.cycles[-1]) == 90


def test_each_directory_keeps_its_own_bound(simulated: Simulated) -> None:
    def low(arm: str, seed: int, cycle: int) -> float:
        return 0.48 if cycle < 0 else 0.8

    def high(arm: str, seed: int, cycle: int) -> float:
        return 0.48 if cycle < 0 else (0.9 if arm == "full" else 0.8)

    one = simulated("a", arms=("coreset", "full"), seeds=(0,), height=low)
    two = simulated("b", arms=("coreset", "full"), seeds=(0,), height=high)
    shares = {a.name: a.share_of_bound for a in compare([one, two]).arms}
    first, second = shares["a/coreset"], shares["b/coreset"]
    assert first is not None
    assert second is not None
    assert first.mean == pytest.approx(1.0)
    assert second.mean == pytest.approx(0.8 / 0.9)
