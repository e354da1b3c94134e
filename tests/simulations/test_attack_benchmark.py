"""The benchmark of attacks: what it runs, what its numbers are by hand, what its page says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulations.attacks import ATTACKS
from simulations.benchmarks.attacks import __main__ as command
from simulations.benchmarks.attacks.figures import drawn, holds, near, outcomes
from simulations.benchmarks.attacks.page import page
from simulations.benchmarks.attacks.programme import (
    CHANGED,
    FRESH,
    PLAIN,
    RULES,
    everything,
    quick,
)
from simulations.benchmarks.labels.one import Job, run
from simulations.benchmarks.labels.recipe import CELLS
from simulations.benchmarks.labels.results import Results
from simulations.benchmarks.labels.tracks import CONFIRMATION
from strategies.chosen import check_sites, decisions

SITES = ("site-01", "site-02", "site-03", "site-04", "site-05", "site-06")


def line(arm: str, seed: int, pooled: float, worst: float, **more: Any) -> dict[str, Any]:
    metrics = {"pooled": {"auroc": [pooled] * 3}, "worst": {"auroc": [worst] * 3}}
    cycle = {"metrics": {"locked": metrics}, "granted": dict.fromkeys(SITES, 10)}
    return {
        "kind": "run", "key": f"{arm}{seed}", "track": "A", "cell": "attacked", "arm": arm,
        "scored_on": "test", "seed": seed, "cycles": [cycle], "rounds": 20, "left_out": {},
        "attacker": "site-02" if "~" in arm else "", "backdoor": 0.01, **more,
    }  # fmt: skip


KRUM = f"random{RULES['multi-krum']}"
LINES = [
    line("random", 100, 0.95, 0.90),
    line("random", 101, 0.93, 0.90),
    line("random~sign-flip", 100, 0.90, 0.85, left_out={"site-02": 10, "site-03": 5}),
    line("random~sign-flip", 101, 0.90, 0.85),
    line("random~backdoor", 100, 0.95, 0.90, backdoor=0.8),
    line(f"{KRUM}~sign-flip", 100, 0.94, 0.89),
    line(f"{KRUM}~sign-flip", 101, 0.92, 0.89),
    line(f"{KRUM}~backdoor", 100, 0.94, 0.90, backdoor=0.02),
    line(f"{KRUM}~quiet-backdoor", 100, 0.94, 0.90, backdoor=0.5),
]


def test_attack_figures_by_hand() -> None:
    found = {(o.rule, o.attack): o for o in outcomes(LINES)}
    plain = found[PLAIN, "sign-flip"]
    assert plain.pooled_lost.mean == pytest.approx(0.04)  # 0.05 and 0.03
    half = 12.7062 * np.std([0.05, 0.03], ddof=1) / np.sqrt(2)
    assert plain.pooled_lost.interval == pytest.approx((0.04 - half, 0.04 + half), abs=1e-4)
    assert plain.worst_lost.mean == pytest.approx(0.05)
    assert plain.attacker_out == pytest.approx(0.25)  # half of one seed's rounds, none of another's
    assert plain.others_out == pytest.approx(0.025)  # 5 of 20 rounds of one of five, in one seed
    assert not near(plain)
    assert not near(found[PLAIN, "backdoor"])  # no AUROC lost, but the mark is believed
    assert near(found["multi-krum", "sign-flip"])
    assert holds(list(found.values()), "multi-krum")  # the quiet one is held against no goal
    worse = [*LINES, line(f"{KRUM}~backdoor", 100, 0.94, 0.90, backdoor=0.2)]
    assert not holds(outcomes(worse), "multi-krum")


def test_attack_that_leaves_no_image_to_turn_is_left_out_of_the_mean() -> None:
    runs = [
        line("random", 0, 0.9, 0.9), line("random~scale", 0, 0.5, 0.5, backdoor=None),
        line("random", 1, 0.9, 0.9), line("random~scale", 1, 0.9, 0.9, backdoor=0.04),
    ]  # fmt: skip
    assert {o.attack: o.believed for o in outcomes(runs)}["scale"] == 0.04
    (alone,) = (o for o in outcomes(runs[:2]) if o.attack == "scale")
    assert np.isnan(alone.believed)


def test_attack_that_inflates_is_held_against_its_own_honest_grants() -> None:
    def granted(arm: str, attacker: str, count: int) -> dict[str, Any]:
        cycle = {"granted": {"site-02": count, "site-01": 50}}
        return line(arm, 100, 0, 0, cell="drained", attacker=attacker, cycles=[cycle, cycle])

    arm = "random@uncertainty-mass"
    (found,) = drawn([granted(arm, "", 10), granted(f"{arm}~inflate", "site-02", 13)])
    assert found.ratio == found.most == pytest.approx(1.3)


def test_attack_page_says_which_rule_holds(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.jsonl")
    for one in LINES:
        results.add(one)
    said = page(results)
    assert "They are reached on A by `multi-krum`." in said
    assert "| multi-krum | +0.010 (sign-flip) | +0.010 (sign-flip) | 2.0% | 50.0% |" in said
    assert "+0.040 (" in said
    assert f"| {CHANGED}, seeds" not in said
    arm = f"random{RULES[CHANGED]}"
    for fresh in (line("random", FRESH[0], 0.95, 0.9), line(f"{arm}~scale", FRESH[0], 0.94, 0.88),
                  line(f"{arm}~backdoor", FRESH[0], 0.95, 0.9, backdoor=0.03)):  # fmt: skip
        results.add(fresh)
    row = f"| {CHANGED}, seeds {FRESH[0]}-{FRESH[-1]} alone | +0.010, +0.020, 3% |"
    assert row in page(results)
    assert "Nothing was confirmed" in page(Results(tmp_path / "none.jsonl"))


@pytest.mark.slow
def test_attack_programme_looks_at_test_images_with_seeds_of_confirmation_alone() -> None:
    jobs = everything()
    assert {job.seed for job in jobs} <= set(CONFIRMATION)
    assert {job.scored_on for job in jobs} == {"test"}
    assert {job.scored_on for job in quick()} == {"val"}
    assert {job.arm.partition("~")[2] for job in jobs} == {"", *ATTACKS}
    for job in jobs:  # every rule has sites enough, every attack is one
        check_sites(job.study(), decisions(job.study()), 6)


def test_attack_command_refuses_what_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--seeds", "0", "--rules", "mean"]) == 2
    assert "rule 'mean': accepted is one of fedavg" in capsys.readouterr().err
    assert command.main(["--seeds", "0", "--attacks", "inflate"]) == 2
    assert "attack 'inflate': accepted is one of label-flip" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("asked", "told"),
    [(["--rules", "mean"], "rule 'mean': accepted is one of fedavg"),
     (["--rules", "median"], "without --seeds: accepted is with --seeds alone"),
     (["--attacks", "scale"], "without --seeds: accepted is with --seeds alone"),
     (["--budgets"], "without --seeds: accepted is with --seeds alone")],
)  # fmt: skip
def test_attack_command_does_not_run_the_whole_table_for_a_part_of_it(
    asked: list[str], told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def runs(*_: object) -> int:
        raise ValueError("it ran")

    monkeypatch.setattr(command, "worked", runs)
    assert command.main(asked) == 2
    assert told in capsys.readouterr().err


def test_attack_page_is_never_written_from_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results, committed = Results(tmp_path / "results.jsonl"), tmp_path / "page.md"
    monkeypatch.setattr(command, "PAGE", committed)
    assert command.main(["--page", "--results", str(results.path)]) == 2  # nothing is there
    assert "accepted is a file with at least as many, and a run" in capsys.readouterr().err
    assert not committed.exists()
    for one in LINES:
        results.add(one)
    assert command.main(["--page", "--results", str(results.path)]) == 0
    whole = committed.read_text()
    assert f"Written from {len(LINES)} runs and 0 lines of confirmations." in whole
    fewer = Results(tmp_path / "fewer.jsonl")
    fewer.add(LINES[0])
    assert command.main(["--page", "--results", str(fewer.path)]) == 2
    assert committed.read_text() == whole


@pytest.mark.slow
def test_attack_run_is_another_run_and_tells_who_attacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = (
        "training.rounds_per_cycle=2", "training.min_steps=1", "training.max_steps=1",
        "budget.total=12", "budget.first=12", "budget.per_cycle=12", "simulation.sites=3",
    )  # fmt: skip
    monkeypatch.setattr("simulations.benchmarks.labels.recipe.CELLS", {**CELLS, "attacked": small})
    rng, content = np.random.default_rng(0), dict[str, Any]()
    for split, n in (("train", 180), ("val", 60), ("test", 60)):
        labels = np.arange(n) % 2
        images = rng.integers(0, 128, (n, 8, 8)) + 100 * labels[:, None, None]
        content |= {f"{split}_images": images.astype(np.uint8), f"{split}_labels": labels[:, None]}
    np.savez(tmp_path / "easy.npz", **content)
    file = str(tmp_path / "easy.npz")
    honest, evil = (
        Job("D", "attacked", "val", arm, 0, file) for arm in ("random", "random~replace")
    )
    assert honest.study() == evil.study()
    assert honest.key() != evil.key()
    told, forged = run(honest), run(evil)
    assert told["attacker"] == ""
    assert told["left_out"] == {}
    assert told["backdoor"] is None or 0 <= told["backdoor"] <= 1
    assert forged["attacker"] in {"site-01", "site-02", "site-03"}
    assert forged["rounds"] == told["rounds"] == 2
    assert forged["left_out"] == {forged["attacker"]: 1}  # the first round has no measure
    assert forged["cycles"][0] == told["cycles"][0]
    assert forged["cycles"][1] != told["cycles"][1]
