"""`wardround attack` as a person meets it: tables, what is kept, wrong input, planted faults."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocol.study import parse
from simulations.cli import main
from simulations.plan import plan_of
from simulations.simulate import simulate

Told = tuple[int, str, str]
Attack = Callable[..., Told]

STUDY = {
    "schema": 1,
    "name": "told",
    "task": {
        "image": [1, 12, 12],
        "classes": [{"name": "a", "definition": "a"}, {"name": "b", "definition": "b"}],
    },
    "network": {"name": "tiny-cnn"},
    "training": {"rounds_per_cycle": 1, "min_steps": 1, "max_steps": 1},
    "budget": {"total": 6, "first": 6, "per_cycle": 6},
    "simulation": {"sites": 2},
}


def _images(path: Path, pool: int, test: int, side: int = 12) -> Path:
    """An .npz of noise, half of each class."""
    rng = np.random.default_rng(1)
    content: dict[str, Any] = {}
    for split, n in (("train", pool), ("val", 4), ("test", test)):
        content[f"{split}_images"] = rng.integers(0, 255, (n, side, side)).astype(np.uint8)
        content[f"{split}_labels"] = np.arange(n).reshape(n, 1) % 2
    np.savez(path, **content)
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished simulation of seconds."""
    folder = tmp_path_factory.mktemp("told")
    noise = str(_images(folder / "noise.npz", 60, 20))
    simulate(plan_of(parse(STUDY), noise, ["random", "full"], [0]), folder / "run", lambda *_: None)
    return folder / "run"


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil, in an otherwise empty folder."""
    copy: Path = shutil.copytree(finished, tmp_path / "run")
    return copy


@pytest.fixture
def attack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Attack:
    """The command in this process, in the test's own folder; code, output and complaint."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> Told:
        monkeypatch.setattr(sys, "argv", ["wardround", "attack", *words])
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


@pytest.mark.slow
def test_attack_membership_is_printed_and_stands_in_the_report(attack: Attack, run: Path) -> None:
    code, out, err = attack("membership", "run")
    assert (code, err) == (0, "")
    title, head, row = out.splitlines()
    assert title == "Membership in a run's last model, from losses; a coin has 0.5"
    assert head.split("  ")[0] == "arm"
    arm, seed, members, others, auroc, *_ = row.split()
    assert (arm, seed) == ("random", "0")  # the bound has no others
    assert 0 < int(members) <= 6
    assert int(others) > 40
    assert 0 <= float(auroc) <= 1
    kept = json.loads((run / "attacks" / "membership.json").read_text())
    assert kept["title"] == title
    assert kept["rows"][0][4] == auroc
    page = (run / "report.html").read_text()
    assert title.replace("'", "&#39;") in page
    assert auroc in page


@pytest.mark.slow
def test_attack_membership_as_json_says_the_same(attack: Attack, run: Path) -> None:
    code, out, _ = attack("membership", "run", "--format", "json")
    told = json.loads(out)
    assert (code, told["format"]) == (0, 1)
    kept = json.loads((run / "attacks" / "membership.json").read_text())
    assert told["rows"] == [dict(zip(kept["head"], row, strict=True)) for row in kept["rows"]]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("canary",), "attack 'canary': accepted is one of canaries, membership, reconstruction"),
        (("canaries", "--fault", "nois"), "--fault 'nois': accepted is noise or clipping"),
        (("membership", "run", "--fault", "noise"), "accepted with canaries alone"),
        (("membership",), "membership without RUN"),
        (("canaries", "--data", "small.npz"), "accepted with the other two, not these"),
        (("membership", "run", "--data", "missing.npz"), "missing.npz: no such file"),
        (("membership", "run", "--data", "few12.npz"), "a simulation of other data"),
        (("membership", "nowhere"), "nowhere is no run directory"),
        (("canaries", "nowhere"), "nowhere is no run directory"),
        (("canaries", "empty"), "empty is no run directory"),
        (("reconstruction", "nowhere"), "nowhere is no run directory"),
        (("reconstruction", "--data", "missing.npz"), "missing.npz: no such file"),
        (("reconstruction", "--data", "small.npz"), "small.npz"),
        (("reconstruction", "--data", "few.npz"), "few.npz: 3 cases of a class in the pool"),
        (("reconstruction", "--data", "untested.npz"), "untested.npz"),
        (("reconstruction", "--steps", "0"), "--steps"),
        (("canaries", "--seed", "-1"), "--seed"),
        (("canaries", "--format", "xml"), "--format xml"),
        ((), "KIND"),
    ],
)
def test_attack_with_wrong_input_is_one_sentence_and_exit_code_2(
    words: tuple[str, ...], says: str, attack: Attack, run: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    for name, pool, test, side in (
        ("small", 60, 20, 12),
        ("few", 7, 20, 28),
        ("few12", 7, 20, 12),
        ("untested", 60, 0, 28),
    ):
        _images(tmp_path / f"{name}.npz", pool, test, side)
    before = {path: path.stat().st_mtime_ns for path in sorted(tmp_path.rglob("*"))}
    code, out, err = attack(*words)
    assert (code, out) == (2, "")
    assert says in err
    if err.startswith("wardround:"):
        assert err.count("\n") == 1
    assert {path: path.stat().st_mtime_ns for path in sorted(tmp_path.rglob("*"))} == before


@pytest.mark.parametrize("gone", ["sites", "models"])
def test_attack_membership_says_what_a_run_has_lost(attack: Attack, run: Path, gone: str) -> None:
    shutil.rmtree(run / "random" / "seed-0" / gone)
    code, _, err = attack("membership", "run")
    assert (code, err.count("\n")) == (2, 1)
    assert "its models or its sites are gone" in err
    assert not (run / "attacks").exists()


def test_attack_membership_of_cases_that_have_moved_asks_where_they_are(
    attack: Attack, run: Path, tmp_path: Path
) -> None:
    known = json.loads((run / "plan.json").read_text())
    here = shutil.copy(known["source"], tmp_path / "here.npz")
    (run / "plan.json").write_text(json.dumps(known | {"source": "/nowhere/noise.npz"}))
    code, out, err = attack("membership", "run")
    assert (code, out) == (2, "")
    assert "the cases are not at '/nowhere/noise.npz'; accepted is --data" in err
    code, out, _ = attack("membership", "run", "--data", str(here))
    assert code == 0
    assert "random" in out


def test_attack_membership_of_a_run_that_has_not_finished(attack: Attack, run: Path) -> None:
    path = run / "random" / "seed-0" / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"finished": False}))
    code, _, err = attack("membership", "run")
    assert (code, err.count("\n")) == (2, 1)
    assert "no finished run of arm 'random' with seed 0" in err
    assert not (run / "attacks").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "verdicts"),
    [("", ["holds", "holds"]), ("noise", ["is refuted"] * 2), ("clipping", ["is refuted"])],
)
def test_dp_sgd_attack_canaries_are_told_in_words_and_find_what_is_planted(
    fault: str, verdicts: list[str], attack: Attack, run: Path
) -> None:
    code, out, err = attack("canaries", "run", "--fault", fault, "--format", "json")
    assert (code, err) == (0, "")
    rows = json.loads(out)["rows"]
    assert [row["the account"] for row in rows] == verdicts
    assert all(f"fault: {fault or 'none'}, seed 0" in row["what"] for row in rows)
    for row in rows:
        above = float(row["95 % lower bound"]) > float(row["epsilon by the account"])
        assert above == (row["the account"] == "is refuted")
    assert "Canaries against the privacy account" in (run / "report.html").read_text()


@pytest.mark.slow
def test_attack_reconstruction_prints_every_line_and_dp_sgd_shows_nothing(attack: Attack) -> None:
    code, out, err = attack("reconstruction", "--steps", "3")
    assert (code, err) == (0, "")
    title, head, *rows = out.splitlines()
    assert title.startswith("Images from updates")
    assert head.startswith("what the server does and sees")
    assert len(rows) == 15
    private = [row for row in rows if "DP-SGD" in row]
    assert len(private) == 4
    assert all(row.endswith(("0 of 1", "0 of 8")) for row in private)
