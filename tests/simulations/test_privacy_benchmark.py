"""The benchmark of what privacy costs: what it runs, its numbers by hand, what its page says."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest

from simulations.benchmarks.labels import code
from simulations.benchmarks.labels.one import Job
from simulations.benchmarks.labels.results import Results
from simulations.benchmarks.labels.tracks import COMMITTED, CONFIRMATION
from simulations.benchmarks.privacy import __main__ as command
from simulations.benchmarks.privacy.page import cells, page
from simulations.benchmarks.privacy.programme import (
    CHOSEN,
    EPSILONS,
    LABELS,
    NETWORKS,
    Pace,
    plain,
    private,
    quick,
    table,
    tried,
)
from strategies.chosen import check_sites, decisions


def line(arm: str, seed: int, auroc: float, spent: float = 0.0, split: str = "test") -> Any:
    metrics = {"pooled": {"auroc": [auroc] * 3}, "worst": {"auroc": [auroc - 0.1] * 3}}
    told = {"site-01": {"training": spent}, "site-02": {"training": spent / 2}} if spent else {}
    return {
        "kind": "run", "key": f"{arm}{seed}", "track": "pneumonia", "arm": arm, "seed": seed,
        "scored_on": split, "cycles": [{"metrics": {"locked": metrics}}], "privacy": told,
    }  # fmt: skip


EIGHT = private("mlp", "264", 8, CHOSEN["mlp", "264", 8])
TWO = private("mlp", "264", 2, CHOSEN["mlp", "264", 2])
LINES = [
    line(plain("mlp", "264"), 106, 0.90),
    line(plain("mlp", "264"), 107, 0.92),
    line(EIGHT, 106, 0.88, 7.9),
    line(EIGHT, 107, 0.86, 8.0),
    line(TWO, 107, 0.80, 2.0),
    line(private("tiny-cnn", "all", 8, Pace(4, 0.01)), 106, 0.7, 8.0),
    line(private("mlp", "264", 8, Pace(10, 0.01)), 0, 0.75, 8.0, "val"),
]


def test_dp_sgd_costs_by_hand() -> None:
    found = {(c.network, c.labels, c.epsilon): c for c in cells(LINES[:-1])}
    assert list(found) == [("mlp", "264", None), ("mlp", "264", 8), ("mlp", "264", 2),
                           ("tiny-cnn", "all", 8)]  # fmt: skip
    eight = found["mlp", "264", 8]
    assert eight.lost == pytest.approx((0.02, 0.06))
    assert eight.reached  # 0.04
    assert eight.spent == 8.0
    assert found["mlp", "264", 2].lost == pytest.approx((0.12,))
    assert not found["mlp", "264", 2].reached
    assert found["tiny-cnn", "all", 8].lost == ()  # nothing beside it
    dead = [line(plain("mlp", "264"), seed, 0.5) for seed in (108,)]
    shown = [line(EIGHT, seed, 0.84, 8.0) for seed in (106, 107, 108)]
    hidden = next(c for c in cells([*LINES[:2], *dead, *shown]) if c.epsilon == 8)
    assert sum(hidden.lost) < 0  # in the mean
    assert not hidden.reached


def test_dp_sgd_page_says_what_was_lost_and_what_was_tried(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.jsonl")
    for one in LINES[:-2] + LINES[-1:]:
        results.add(one)
    said = page(results)
    assert "| mlp | 264 | none | 2 | 0.910 (0.900-0.920) | reference | 0.810 | - |  |" in said
    assert "| 8 | 2 | 0.870 (0.860-0.880) | +0.040 (-0.214 to +0.294); +0.040 | 0.770 |" in said
    assert "| 8.00 | reached |" in said
    assert "| mlp | 264 | 8 | 64 | 10 | 0.01 | 1 | 0.750 |" in said
    assert "Nothing was confirmed" in page(Results(tmp_path / "none.jsonl"))


def test_dp_sgd_programme_is_the_committed_study_and_confirms_with_its_own_seeds() -> None:
    jobs = table(NETWORKS, LABELS, EPSILONS)
    assert len({job.arm for job in jobs}) == 12
    assert len({job.seed for job in jobs}) >= 5
    assert {job.seed for job in jobs} <= set(CONFIRMATION)
    assert {job.scored_on for job in jobs} == {"test"}
    other = [*tried(NETWORKS, LABELS, EPSILONS), *quick()]
    assert {job.scored_on for job in other} == {"val"}
    for job in [*jobs[::5], *other]:
        study = job.study()
        check_sites(study, decisions(study), study.simulation.sites)
        assert study.name == COMMITTED.study.name
        assert (study.privacy is not None) == ("privacy.epsilon" in job.arm)
    assert set(CHOSEN) == set(product(NETWORKS, LABELS, EPSILONS))


@pytest.mark.slow
def test_dp_sgd_code_of_privacy_counts_for_private_runs_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain_study, private_study = (
        Job(COMMITTED.name, "selectors", "val", arm, 0).study()
        for arm in (plain("mlp", "264"), EIGHT)
    )
    before = code.version(plain_study), code.version(private_study)
    true = code.tree

    def changed(file: Path) -> str:
        return true(file) + ("x" if file.parent.name == "privacy" else "")

    monkeypatch.setattr(code, "tree", changed)
    assert code.version(plain_study) == before[0]
    assert code.version(private_study) != before[1]


def test_dp_sgd_command_refuses_what_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    for option, name in (("--networks", "vgg"), ("--labels", "12"), ("--epsilons", "3")):
        assert command.main(["--try", option, name]) == 2
        assert f"{option} '{name}': accepted is one of" in capsys.readouterr().err
    for first in ("0", "-1"):
        assert command.main(["--try", "--first", first]) == 2
        assert f"--first {first}: accepted is 1 or more" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("asked", "written"),
    [
        ([], True),
        (["--page"], True),
        (["--first", "1"], False),
        (["--networks", "mlp"], False),
        (["--epsilons", "8"], False),
        (["--try"], False),
    ],
)
def test_dp_sgd_page_is_written_by_the_whole_table_alone(
    asked: list[str], written: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results, committed = Results(tmp_path / "results.jsonl"), tmp_path / "page.md"
    for one in LINES:
        results.add(one)
    monkeypatch.setattr(command, "worked", lambda *_: 0)
    monkeypatch.setattr(command, "PAGE", committed)
    assert command.main([*asked, "--results", str(results.path)]) == 0
    assert committed.exists() == written
    more = f"Written from {len(LINES) + 1} runs and 0 lines of confirmations.\n"
    committed.write_text(more)
    assert command.main(["--page", "--results", str(results.path)]) == 2
    assert committed.read_text() == more


def test_dp_sgd_command_refuses_a_list_of_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--networks", ",", "--results", str(tmp_path / "none.jsonl")]) == 2
    assert "no runs are asked for" in capsys.readouterr().err
