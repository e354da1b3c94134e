from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
from rich.console import Console

from simulations.results import words
from simulations.results.compare import CannotCompare, compare
from simulations.results.curves import Scope
from simulations.results.hours import taken
from simulations.results.outcomes import Choice
from simulations.results.records import Split
from simulations.results.tables import to_json, to_table
from strategies.metrics.table import METRICS

Simulated = Callable[..., Path]


def steps(arm: str, seed: int, cycle: int) -> float:
    """Heights that can be summed by hand: coreset 0.5 0.7 0.9, random 0.5 0.6 0.7, bound 0.9."""
    if cycle < 0:
        return 0.4
    return 0.9 if arm == "full" else 0.5 + (0.2 if arm == "coreset" else 0.1) * cycle


def test_numbers_by_hand(simulated: Simulated) -> None:
    found = to_json(compare([simulated(height=steps, cycles=3, seeds=(0, 1))]))
    assert found["format"] == 1  # as docs/cli.md promises of every command
    arms = found["arms"]
    assert isinstance(arms, dict)
    coreset, random, full = arms["coreset"], arms["random"], arms["full"]
    assert isinstance(coreset, dict)
    assert isinstance(random, dict)
    assert isinstance(full, dict)
    assert coreset["aubc"] == pytest.approx(0.7)
    assert coreset["aubc_interval"] == pytest.approx([0.7, 0.7])
    assert random["aubc"] == pytest.approx(0.6)
    assert coreset["aubc_without_audit"] == pytest.approx(0.7)
    assert full["aubc"] is None
    assert full["final"] == pytest.approx(0.9)
    assert coreset["share_of_bound"] == pytest.approx(1.0)
    # 3 sites x 3 cycles x 8 readings, 2 of each 8 for the audit set
    assert (coreset["labels_to_98"], coreset["readings_to_98"]) == (54, 72)
    assert (random["labels_to_98"], random["seeds_at_98"]) == (None, 0)
    assert coreset["worst_final"] == pytest.approx(0.885)
    assert found["readings_range"] == [24, 72]


def test_differences_are_to_random_and_exploratory_with_few_seeds(simulated: Simulated) -> None:
    found = compare([simulated(height=steps, seeds=(0, 1, 2))])
    assert found.reference == "random"
    (pair,) = found.against("aubc")
    assert (pair.arm, pair.wins, pair.exploratory) == ("coreset", 3, True)
    assert "Exploratory" in " ".join(words.headline(found))


@pytest.mark.slow
def test_enough_seeds_reject(simulated: Simulated) -> None:
    found = compare([simulated(seeds=tuple(range(7)))])
    (pair,) = found.against("aubc")
    assert (pair.wins, pair.wilcoxon_p, pair.exploratory) == (7, 0.015625, False)
    assert "Chance is an unlikely explanation" in " ".join(words.headline(found))


@pytest.mark.slow
def test_every_metric_scope_and_split(simulated: Simulated) -> None:
    out = simulated(seeds=(0,), cycles=2)
    scopes: tuple[Scope | None, ...] = (None, "pooled", "macro", "worst")
    splits: tuple[Split, ...] = ("locked", "audit")
    for metric, scope, split in product(METRICS, scopes, splits):
        found = compare([out], Choice(metric=metric, scope=scope, split=split))
        document = to_json(found)
        json.dumps(document, allow_nan=False)
        assert document["scope"] == (scope or "pooled")
        assert document["metric"] == metric


def test_for_errors_the_smaller_area_wins(simulated: Simulated) -> None:
    found = compare([simulated(height=steps, cycles=3)], Choice(metric="brier"))
    (pair,) = found.against("aubc")
    assert pair.mean < 0
    assert pair.wins == 3
    arm = next(a for a in found.arms if a.name == "coreset")
    assert arm.reached(0.98)[1] == 3


def test_a_seed_without_a_bound_counts_neither_way(simulated: Simulated) -> None:
    out = simulated(height=steps, cycles=3)
    whole = next(a for a in compare([out]).arms if a.name == "coreset")
    shutil.rmtree(out / "full" / "seed-2")
    arm = next(a for a in compare([out]).arms if a.name == "coreset")
    assert (len(arm.outcomes), whole.bounded(0.98), arm.bounded(0.98)) == (3, 3, 2)
    assert arm.reached(0.98)[1] == 2
    assert "2 of 2 seeds" in words.reached(arm, 0.98)
    rows = taken(compare([out])).rows
    assert {row[2] for row in rows if "bound" in row[1]} == {"2 of 2", "0 of 2"}


def test_macro_where_pooled_is_not_estimable(simulated: Simulated) -> None:
    out = simulated(arms=("coreset",), seeds=(0,))
    path = out / "coreset/seed-0/cycles.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[2]["metrics"]["locked"]["pooled"]["auroc"] = [None, None, None]
    path.write_text("\n".join(json.dumps(line) for line in lines))
    found = compare([out])
    assert found.scope == "macro"
    assert any("mean over sites is shown" in note for note in found.notes)


@pytest.mark.parametrize(
    "fields",
    [
        {"arms": ("coreset",)},
        {"arms": ("full",), "seeds": (0,)},
        {"seeds": (0,)},
        {"arms": ("coreset", "random")},
        {"not_estimable": ("auroc",)},
        {"not_estimable": tuple(METRICS)},
        {"cycles": 1},
        {"clustered": False, "unfinished": (("random", 0),)},
    ],
)
def test_whatever_is_missing_it_still_says_something(
    simulated: Simulated, fields: dict[str, object]
) -> None:
    found = compare([simulated(**fields)])
    json.dumps(to_json(found), allow_nan=False)
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(to_table(found))
    shown = console.export_text()
    assert found.arms[0].name in shown
    assert "nan" not in shown


def test_unknown_names_are_refused(simulated: Simulated) -> None:
    out = simulated()
    with pytest.raises(CannotCompare, match="metric 'auc': accepted is one of auroc"):
        compare([out], Choice(metric="auc"))
    with pytest.raises(CannotCompare, match="scope 'mean': accepted is one of pooled, macro"):
        compare([out], Choice(scope="mean"))
    with pytest.raises(CannotCompare, match="reference 'full': accepted is one of coreset, random"):
        compare([out], Choice(reference="full"))


def test_another_reference_turns_the_sign(simulated: Simulated) -> None:
    out = simulated()
    (there,) = compare([out]).against("final")
    (back,) = compare([out], Choice(reference="coreset")).against("final")
    assert (back.arm, back.reference) == ("random", "coreset")
    assert back.mean == pytest.approx(-there.mean)


def test_intervals_over_seeds_end_where_the_metric_does(simulated: Simulated) -> None:
    def apart(arm: str, seed: int, cycle: int) -> float:
        return 0.5 if cycle < 0 else 0.95 - 0.4 * seed

    for metric in ("auroc", "log_loss"):
        out = simulated(metric, arms=("coreset",), seeds=(0, 1), height=apart)
        (arm,) = compare([out], Choice(metric=metric)).arms
        assert arm.final is not None
        assert arm.final.interval is not None
        assert arm.final.interval[0] == 0.0
        assert (arm.final.interval[1] == 1.0) == (metric == "auroc")
