from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simulations.benchmarks.engines import arguments, benchmarks
from simulations.benchmarks.goals import Line, table, unjudged
from simulations.benchmarks.plain_loop import plain_loop
from simulations.benchmarks.recipe import counted, last_model, recipe_of
from simulations.benchmarks.runs import bench_study, run
from simulations.plan import plan_of


@pytest.mark.slow
def test_the_plain_loop_does_what_the_engine_did(tmp_path: Path) -> None:
    study = bench_study("tiny-cnn", 2, 1, cycles=2, min_steps=2)
    ended = run(study, tmp_path / "out")
    recipe = recipe_of(study, ended.folder)
    images = plan_of(study, "phantom", ["default"], [study.seed]).cases().images
    done = plain_loop(recipe, images)
    account = counted(study, ended.folder, features=True)
    assert (done.steps, done.scored) == (account.steps, account.scored)
    assert done.steps > 0
    for name, array in last_model(study, ended.folder)[1].items():
        # not to the bit: torch's fused update rounds the last few values of a vector otherwise
        np.testing.assert_allclose(done.arrays[name], array, rtol=0, atol=1e-5)


def test_a_line_is_judged_by_its_median_and_its_checks() -> None:
    ceiling = Line("a", (1.0, 1.04, 9.0), "at most", 1.05)
    assert ceiling.verdict == "met"
    assert Line("b", (1.0, 1.06, 1.07), "at most", 1.05).missed
    assert Line("c", (1.0, 1.9, 2.0), "at least", 1.8).verdict == "met"
    assert Line("d", (1.7,), "at least", 1.8).missed
    assert Line("e", (2.0,), "at least", 1.8, failed="results differ").missed
    assert Line("f", (), "at least", 7.0, note="no network").verdict == "skipped"
    assert Line("g", (3.0,), "at most", None).verdict == "told"
    assert unjudged([Line("d", (1.7,), "at least", 1.8)])[0].verdict == "not judged"
    assert "1.04 x (1.00-9.00)" in table([ceiling])


def test_the_command_line_names_every_benchmark() -> None:
    given = arguments(["--quick", "--only", "start", "--only", "memory", "--json", "n.json"])
    assert given.quick
    assert given.only == ["start", "memory"]
    assert given.json == Path("n.json")
    assert set(given.only) <= set(benchmarks())
    with pytest.raises(SystemExit):
        arguments(["--only", "everything"])
    with pytest.raises(SystemExit):
        arguments(["--repeats", "0"])
