"""What the comparison says about its data before anyone believes its numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simulations.results import page
from simulations.results.advice import advice
from simulations.results.compare import compare
from simulations.results.pairing import NotPaired

TO = "\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}"


def rewrite(run: Path, name: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change every JSON document of a run's file."""
    path = run / name
    documents = [json.loads(line) for line in path.read_text().splitlines()]
    for document in documents:
        change(document)
    path.write_text("".join(json.dumps(d) + "\n" for d in documents))


def test_nothing_odd_nothing_said(simulated: Callable[..., Path]) -> None:
    assert compare([simulated()]).notes == ()


def test_a_pool_that_ends_early_is_said(simulated: Callable[..., Path]) -> None:
    out = simulated()
    study = out / "random" / "seed-0" / "study.toml"
    study.write_text(study.read_text().replace("total = 120", "total = 5000"))
    (note,) = compare([out]).notes
    assert note.startswith("the study ended after 120 of 5000 readings, at the least")


def test_a_site_of_one_class_is_said(simulated: Callable[..., Path]) -> None:
    out = simulated()

    def only(line: dict[str, Any]) -> None:
        line["labels"]["site-02"] = [0, 9 if line["cycle"] >= 0 else 0]

    rewrite(out / "random" / "seed-1", "cycles.jsonl", only)
    notes = compare([out]).notes
    assert notes == ("labels of one class only at the end of some run: site-02",)


@pytest.mark.slow
def test_audit_cases_that_stayed_open_are_said_with_both_ends(
    simulated: Callable[..., Path],
) -> None:
    out = simulated()

    def leave_open(line: dict[str, Any]) -> None:
        if audit := line["metrics"]["audit"]:
            audit["unsettled"] = audit["cases"] // 4
            audit["bounds"] = {"accuracy": [0.9, 0.72, 0.92]}

    rewrite(out / "random" / "seed-1", "cycles.jsonl", leave_open)
    comparison = compare([out])
    assert comparison.notes == (
        "up to 20.0% of the audit cases read stayed unsure or unreadable and are not measured: "
        "the accuracy lies between 0.720 and 0.920",
    )
    table = page.audit(comparison)
    rows = {row[0]: row[-2:] for row in table.rows}
    assert table.head[-2:] == ("unsettled", "accuracy, these all wrong to all right")
    assert rows["random"] == ("6.7%", "0.720\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}0.920")
    assert rows["coreset"] == ("0.0%", "not estimable")


def test_other_versions_are_said(simulated: Callable[..., Path]) -> None:
    out = simulated()
    rewrite(out / "random" / "seed-1", "run.json", lambda run: run.update(git="abc"))
    assert compare([out]).notes == ("the runs were made by different versions of the software",)


def test_other_data_is_refused_even_with_other_seeds(simulated: Callable[..., Path]) -> None:
    out, other = simulated(), simulated("other", seeds=(7, 8))
    assert compare([out, other]).arms
    for arm in ("coreset", "random", "full"):
        for seed in (7, 8):
            rewrite(other / arm / f"seed-{seed}", "run.json", lambda run: run.update(data="e" * 64))
    with pytest.raises(NotPaired, match="hash of the data eeeeeeeeeeee differs"):
        compare([out, other])


@pytest.mark.parametrize(
    ("audit", "shown"),
    [
        ([0.9, 0.85, 0.94], "0.900 (0.850 to 0.940)"),
        ([None, None, None], "not estimable"),
        (None, "no audit case measured"),
    ],
)
def test_advice_stands_beside_the_audit_interval_of_its_cycle(
    simulated: Callable[..., Path], audit: list[float | None] | None, shown: str
) -> None:
    def measured(line: dict[str, Any]) -> None:
        if line["cycle"] == 4 and audit is None:
            line["metrics"]["audit"] = None
        elif line["cycle"] == 4:
            line["metrics"]["audit"]["pooled"]["auroc"] = audit

    out = simulated(arms=("random",), seeds=(0,), cycles=6)
    rewrite(out / "random" / "seed-0", "cycles.jsonl", measured)
    table = advice(compare([out]))
    assert table.head[3:] == ("in words", "audit AUROC then")
    (row,) = table.rows
    assert row[3:] == ("stop: predictions stable over 3 cycles", shown.replace(" to ", TO))


def test_the_report_says_where_no_rule_could_speak(simulated: Callable[..., Path]) -> None:
    out = simulated(arms=("random",), seeds=(0,), cycles=3)
    never = ("random", "0 of 1 seed", "never", "no advice to stop", "–")
    assert advice(compare([out])).rows == (never,)
    path = out / "random" / "seed-0" / "study.toml"
    path.write_text(
        path.read_text() + '\n[stopping]\nrule = "stabilised"\n\n[privacy]\nepsilon = 8\n'
    )
    (row,) = advice(compare([out])).rows
    assert row[3].startswith("it could not advise: the sites of a private study")
