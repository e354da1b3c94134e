"""The page for a hospital's board: its answers follow from the runs, and it stands alone."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from simulations.results.board import write_board
from simulations.results.left import left
from simulations.results.runs import load

Simulated = Callable[..., Path]
SITES = ("site-01", "site-02", "site-03")
ARMS = ("random", "random+privacy=off", "random~scale", "random~backdoor", "full")


def height(arm: str, seed: int, cycle: int) -> float:
    if cycle < 1:  # arms begin alike
        return 0.8
    return {"random": 0.90, "random~scale": 0.85}.get(arm, 0.93) + 0.001 * seed


def told(out: Path, arm: str, **more: Any) -> None:
    for path in (out / arm).glob("seed-*/run.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | more))


@pytest.fixture
def private(simulated: Simulated) -> Path:
    out = simulated(arms=ARMS, height=height)
    spent = {"training": 2.5, "audit": 1.25, "delta": 1e-4, "covered": 0.0}
    for arm in ("random", "random~scale", "random~backdoor"):
        told(out, arm, privacy=dict.fromkeys(SITES, spent))
    told(out, "random~scale", attack="scale", attacker="site-02")
    told(out, "random~backdoor", attack="backdoor", attacker="site-02", backdoor=0.4)
    for path in (out / "random").glob("seed-*/study.toml"):
        secure = "\n[privacy]\nepsilon = 3.0\n[aggregation]\nsecure = true\n"
        path.write_text(path.read_text() + secure)
    return out


def test_the_board_reads_what_was_spent_lost_and_survived(private: Path, tmp_path: Path) -> None:
    page = " ".join(write_board([private], tmp_path / "board.html").read_text().split())
    assert "Of epsilon 3 the site that spent most spent 2.50 on training, and 1.25" in page
    assert "pool membership unbounded" in page
    assert "it sees sums of three sites or more" in page
    assert "0.030 of AUROC: without privacy it is 0.93" in page  # 0.93 against 0.90
    assert "0 of 2 attacks cost at most 0.02 of AUROC" in page  # 0.05 lost, and a mark planted
    assert "0.050, was lost to scale. The mark of backdoor turned 40% of images." in page
    assert page.count("<h2>In short</h2>") == 1  # neither bound, nor attacked, nor the twin
    assert "The sites' audit logs are not there any more" in page


def test_the_board_stands_alone_and_says_where_there_is_no_bound(
    simulated: Simulated, tmp_path: Path
) -> None:
    page = write_board([simulated(arms=("random",))], tmp_path / "board.html").read_text()
    assert not re.search(r"https?:|//\w|url\(|@import|\bsrc=|\bhref=|<script", page)
    assert "No bound: there is no differential privacy" in page
    assert "It was not rehearsed: run the study again with --attack." in page
    assert "Updates are averaged by fedavg. The mean of the sites" in page


def log(home: Path, rows: list[tuple[str, str, str, int]]) -> None:
    home.mkdir(parents=True)
    with closing(sqlite3.connect(home / "site.db")) as connection, connection:
        connection.execute("CREATE TABLE audit (event, plane, record, size INTEGER)")
        connection.executemany("INSERT INTO audit VALUES (?, ?, ?, ?)", rows)


def test_what_left_is_counted_from_the_sites_own_logs(private: Path) -> None:
    sites = private / "random" / "seed-0" / "sites"
    for site, count in (("site-01", 2), ("site-02", 4)):
        rows = [("left", "model", "SiteUpdate", 500)] * count
        rows += [("refused", "model", "SiteUpdate", 1), ("left", "coordination", "Head", 9)]
        log(sites / site, rows)
    runs = load([private])
    found = left(runs.of("random"))
    assert found is not None
    assert found.rows == (("The trained model", "SiteUpdate", "3", "1,500 bytes"),)
    assert left(runs.of("random~scale")) is None
    (sites / "site-01" / "site.db").write_bytes(b"torn" * 99)
    found = left(runs.of("random"))
    assert found is not None
    assert found.rows == (("The trained model", "SiteUpdate", "4", "2,000 bytes"),)


def test_arms_of_one_name_in_two_folders_keep_their_own_logs(simulated: Simulated) -> None:
    outs = [simulated(out=name, arms=("random",)) for name in ("one", "two")]
    for size, out in enumerate(outs, start=1):
        home = out / "random" / "seed-0" / "sites" / "site-01"
        log(home, [("left", "model", "SiteUpdate", size)])
    runs = load(outs)
    found = {arm: left(runs.of(arm)) for arm in ("one/random", "two/random")}
    sizes = {arm: table.rows[0][-1] for arm, table in found.items() if table}
    assert sizes == {"one/random": "1 bytes", "two/random": "2 bytes"}
