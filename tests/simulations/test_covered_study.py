"""A whole simulated federation whose one epsilon covers training and querying, and its words."""

from __future__ import annotations

import json
import re
import sys
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.cli import main as site_main
from client.home import open_store
from client.privacy.account import recomputed
from client.privacy.words import plan_words
from protocol.records import SiteReport, UpdateNumbers
from protocol.steps import Selected
from protocol.study import Study, load
from server.ledger import Ledger, Stage
from simulations.checking import check_study
from simulations.plan import plan_of
from simulations.results.board import write_board
from simulations.results.report import write_report
from simulations.simulate import simulate
from strategies.private import CONDITIONAL, COVERED

STUDY = """
schema = 1
name = "covered"
[task]
image = [1, 12, 12]
classes = [{name = "a", definition = "a"}, {name = "b", definition = "b"}]
[network]
name = "mlp"
hidden = [4]
[training]
start = "warm"
rounds_per_cycle = 2
min_steps = 2
max_steps = 2
batch_size = 8
[query]
strategy = "threshold-random"
cold_start = "random"
[budget]
total = 120
first = 40
per_cycle = 40
policy = "proportional"
[audit]
patients = 0.2
[privacy]
epsilon = 4.0
noise = 3.0
querying = "covered"
[simulation]
sites = 3
split = "quantity"
"""
"""Its noise is too little for three cycles: sites overdraw, the small one first."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study file, images that are easily told apart, and the finished run of three sites."""
    folder = tmp_path_factory.mktemp("covered")
    (folder / "covered.toml").write_text(STUDY)
    rng, content = np.random.default_rng(1), dict[str, Any]()
    for split, n in (("train", 300), ("val", 4), ("test", 120)):
        labels = np.arange(n) % 2
        images = rng.integers(0, 128, (n, 12, 12)) + 100 * labels[:, None, None]
        content |= {f"{split}_images": images.astype(np.uint8), f"{split}_labels": labels[:, None]}
    np.savez(folder / "easy.npz", **content)
    plan = plan_of(load(folder / "covered.toml"), str(folder / "easy.npz"), ["default"], [0])
    simulate(plan, folder / "run", lambda task, event: None)
    return folder


@pytest.fixture(scope="module")
def study(folder: Path) -> Study:
    return load(folder / "run" / "default" / "seed-0" / "study.toml")


def homes(folder: Path) -> list[Path]:
    return sorted((folder / "run" / "default" / "seed-0" / "sites").glob("site-*"))


def words_of(page: Path) -> str:
    """What a page shows, in one line."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page.read_text())).split())


@pytest.mark.slow
def test_privacy_account_a_covered_study_goes_on_without_the_sites_that_would_overdraw(
    folder: Path,
) -> None:
    run = folder / "run" / "default" / "seed-0"
    assert json.loads((run / "run.json").read_text())["finished"]
    ledger = Ledger.look(run / "ledger.db")
    stages = [c.stage for c in ledger.committed()]
    trained = {(s.cycle, s.round): set(ledger.records(s, UpdateNumbers) or ())
               for s in stages if s.step == "train"}  # fmt: skip
    reported = {s.cycle: set(ledger.records(s, SiteReport) or ())
                for s in stages if s.step == "report"}  # fmt: skip
    granted = ledger.records(Stage(2, "select"), Selected)
    ledger.close()
    every = {"site-01", "site-02", "site-03"}
    assert trained[0, 0] == every
    assert 0 < len(trained[1, 1]) < 3  # the study goes on with the others
    assert reported[0] == reported[1] == every
    assert 0 < len(reported[2]) < 3  # one has not even a report left
    assert set(granted or ()) == reported[2]


@pytest.mark.slow
def test_privacy_account_of_a_covered_study_adds_up_and_pays_for_swaps(
    folder: Path, study: Study
) -> None:
    told = json.loads((folder / "run" / "default" / "seed-0" / "run.json").read_text())["privacy"]
    assert len(homes(folder)) == 3
    for home in homes(folder):
        store = open_store(home, durable=False)
        charges, opened = store.privacy.all(study.identity), store.privacy.account(study.identity)
        spent = {s: store.privacy.spent(study.identity, s) for s in ("training", "audit", "locked")}
        store.close()
        assert opened is not None
        assert recomputed(charges, opened.order) == pytest.approx(spent)
        assert {c.mechanism for c in charges if c.step == "train"} == {"dp-sgd-swap"}
        assert all(c.released for c in charges)
        assert told[home.name]["covered"] == 1.0
        assert all(0 < told[home.name][part] <= 4 for part in ("training", "audit"))


@pytest.mark.slow
def test_privacy_account_of_a_covered_study_is_one_epsilon_in_every_page_and_command(
    folder: Path, study: Study, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checked = check_study(folder / "covered.toml", [], None).text()
    plan = "\n".join(plan_words(study))
    board = words_of(write_board([folder / "run"], folder / "board.html"))
    report = words_of(write_report([folder / "run"], folder / "report.html"))
    command = ["wardround-site", "privacy", "--home", str(homes(folder)[0])]
    monkeypatch.setattr(sys, "argv", command)
    site_main()
    account = capsys.readouterr().out
    for page in (checked, plan, board, report, account):
        assert COVERED in page
        assert CONDITIONAL not in page
        assert "pool membership unbounded" not in page
    assert "in that of training" in report
    for part in ("patients of the pool: ", "patients of the audit set: "):
        assert re.search(f"{part}[0-9.]+ of 4 spent, [0-9.]+ left", account)
    monkeypatch.setattr(sys, "argv", [*command, "--format", "json"])
    site_main()
    (one,) = json.loads(capsys.readouterr().out)["studies"]
    assert one["querying"] == "covered"
    shown = re.search(r"patients of the pool: ([0-9.]+) of", account)
    assert shown is not None
    assert float(shown[1]) == pytest.approx(one["scopes"]["training"]["spent"], abs=0.006)
