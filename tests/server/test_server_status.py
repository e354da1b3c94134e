"""What `status` sums up is what the ledger's account says, and it is light; `alarms`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tomli_w

from protocol.records import UNCERTAINTY_BINS, Grant, SiteEvaluation, SiteProgress, SiteReport
from protocol.study import Study, document
from server import account
from server.cli import main
from server.dashboard.pages import study as study_page
from server.home import HomeConfig, make_home
from server.ledger import Ledger, Stage
from server.overview import as_dict, as_text, overview
from server.paths import ServerPaths
from server.registry.alarm_shelf import AlarmShelf
from server.registry.registry import Registry
from server.registry.study_shelf import StudyRow, StudyShelf
from server.summary import summary
from strategies.metrics.measure import measure


@pytest.fixture
def study(tiny_study: Callable[..., Study]) -> Study:
    return tiny_study()


@pytest.fixture
def home(tmp_path: Path, study: Study) -> Path:
    """A server with one study, submitted and not begun, and two alarms."""
    home = tmp_path / "home"
    make_home(home, HomeConfig(address="localhost:4430"))
    registry = Registry.open(ServerPaths(home).registry)
    StudyShelf(registry.connection).add(row(study))
    alarms = AlarmShelf(registry.connection)
    alarms.sound("clock-skew", "its clock is far off", "north")
    alarms.sound("disk", "the disk is nearly full")
    registry.close()
    folder = home / "studies" / "here"
    folder.mkdir(parents=True)
    (folder / "study.toml").write_text(tomli_w.dumps(document(study)), encoding="utf-8")
    return home


def row(study: Study, state: str = "running") -> StudyRow:
    sites = ("north", "south")
    return StudyRow(study.identity, study.name, "here", "0" * 64, "Dr. Ada", sites, state)


def ledger(home: Path, study: Study) -> Ledger:
    found = Ledger.open(home / "studies" / "here" / "ledger.db", study, "0" * 64)
    found.settle_sites(["north", "south"])
    return found


def told(site: str, spent: int, returned: int, waiting: int = 0) -> SiteProgress:
    return SiteProgress(site, spent, returned, spent, 1.0, waiting)


def test_the_summary_is_what_the_account_of_the_ledger_says(home: Path, study: Study) -> None:
    book, folder = ledger(home, study), home / "studies" / "here"
    assert summary(folder, row(study)).words == "waits for its sites"
    steps: list[tuple[Stage, dict[str, object]]] = [
        (Stage(0, "evaluate"), {}),
        (Stage(0, "report"), {}),
        (Stage(0, "allocate"), {"north": Grant(6, "a share"), "south": Grant(6, "a share")}),
        (Stage(0, "allocate", 0, 1), {"north": Grant(2, "a top-up")}),
        (Stage(0, "read"), {"north": told("north", 7, 1), "south": told("south", 6, 0, 3)}),
        (Stage(0, "train", 1), {}),
        (Stage(1, "report"), {}),
        (Stage(0, "settle", 0, 1), {"south": told("south", 4, 2)}),
        (Stage(1, "allocate"), {"north": Grant(5, "a share"), "south": Grant(5, "a share")}),
    ]
    for stage, records in steps:
        book.commit(stage, records)
        seen, cycles = summary(folder, row(study)), range(account.cycles(book))
        grants = [g for c in cycles for each in account.grants(book, c).values() for g in each]
        known = [p for c in cycles for p in account.progress(book, c).values()]
        assert seen.granted == sum(grant.count for grant in grants)
        assert seen.spent == sum(p.spent for p in known)
        assert seen.returned == sum(p.returned for p in known)
        assert (seen.step, seen.round) == (stage.step, stage.round)
        assert seen.cycle == (len(cycles) - 1 if cycles else None)
    assert (seen.granted, seen.spent, seen.returned, seen.open) == (24, 11, 3, 10)
    assert (seen.budget, seen.unit) == (study.budget.total, study.budget.unit)
    assert seen.words == "cycle 2: people are reading"
    assert summary(folder, row(study, "stopped")).words == "cycle 2: cases were open to readers"
    book.close()


def evaluated(study: Study, cases: int) -> SiteEvaluation:
    """What north measured on so many audit cases, of two classes in turn; nothing on 0."""
    target = np.eye(2)[np.arange(cases) % 2]
    noise = np.random.default_rng(5).normal(size=cases)
    right = 1 / (1 + np.exp(-np.where(target[:, 1] == 1, 1.0, -1.0) - noise))
    found = measure(np.stack([1 - right, right], axis=1), target, np.arange(cases), study.task,
                   clustered=True, unsettled=0, rng=np.random.default_rng(0))  # fmt: skip
    return SiteEvaluation("north", found if cases else None, None)


def test_status_tells_the_advice_that_the_dashboard_shows(home: Path, study: Study) -> None:
    book = ledger(home, study)
    for _ in cycles_read(book):
        assert "stabilised" not in as_text(overview(home))
    book.close()
    seen = overview(home)
    advice = as_dict(seen)["studies"][0]["advice"]
    assert advice.startswith("Predictions have stabilised, stopping may be considered")
    assert f"\n  {advice}" in as_text(seen)
    shown = study_page(ServerPaths(home), study.identity)
    assert shown is not None
    assert [c["advice"] for c in shown["cycles"]] == ["", "", "", advice]


@pytest.mark.parametrize(
    ("cases", "said"),
    [
        (None, "not measured yet."),
        (0, "no audit case has been measured yet."),
        (6, "AUROC not estimable, 6 cases."),
        (60, "AUROC {:.3f} (95 % interval {:.3f} to {:.3f}, not corrected for repeated looks), "
         "60 cases."),
    ],
)  # fmt: skip
def test_advice_is_told_with_the_audit_interval_of_its_cycle(
    home: Path, study: Study, cases: int | None, said: str
) -> None:
    book, last = ledger(home, study), study.training.rounds_per_cycle
    for _ in cycles_read(book):
        assert as_dict(overview(home))["studies"][0]["audit"] == ""
    for cycle, count in enumerate((60, 60, 60, cases)):
        if count is not None:
            book.commit(Stage(cycle, "evaluate", last), {"north": evaluated(study, count)})
    book.close()
    shown = study_page(ServerPaths(home), study.identity)
    assert shown is not None
    words = f"Audit set after cycle 4: {said.format(*shown['metrics'][-1]['pooled']['auroc'])}"
    seen = overview(home)
    (view,) = as_dict(seen)["studies"]
    assert view["audit"] == words
    assert f"\n  {view['advice']}\n  {words}" in as_text(seen)


def cycles_read(book: Ledger) -> Iterator[None]:
    """Four cycles after which predictions have stabilised; each is yielded before its readings."""
    bins = (40,) + (0,) * (UNCERTAINTY_BINS - 1)
    for cycle in range(4):
        kept = ((20, 0), (0, 20)) if cycle else ((0, 0), (0, 0))
        report = SiteReport("north", 40, 2, 0, 9, 1.0, bins, (20, 20), (1, 1), kept)
        book.commit(Stage(cycle, "report"), {"north": report})
        book.commit(Stage(cycle, "allocate"), {"north": Grant(4, "a share")})
        yield
        book.commit(Stage(cycle, "read"), {"north": told("north", 4, 0)})


def test_a_broken_folder_hides_nothing_else(home: Path, study: Study) -> None:
    book = ledger(home, study)
    book.commit(Stage(0, "allocate"), {"north": Grant(6, "a share")})
    book.connection.execute("UPDATE records SET block = x'00'")
    book.close()
    seen = as_text(overview(home))
    assert "its folder cannot be read" in seen
    assert "clock is far off" in seen
    (home / "studies" / "here" / "study.toml").unlink()
    assert "its folder cannot be read" in as_text(overview(home))


@pytest.mark.slow
def test_status_imports_nothing_heavy(home: Path, study: Study) -> None:
    ledger(home, study).close()
    script = (
        f"import sys\nsys.argv = ['wardround-server', 'status', '--home', {str(home)!r}]\n"
        "from server.cli import main\nmain()\n"
        "print('LOADED', *{m.partition('.')[0] for m in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    words, _, loaded = done.stdout.partition("LOADED")
    assert f"study {study.name}" in words
    heavy = {"numpy", "pydantic", "scipy", "flwr", "grpc", "cryptography", "torch", "safetensors"}
    assert not heavy & {*loaded.split()}


def say(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[int, str, str]:
    monkeypatch.setattr("sys.argv", ["wardround-server", *words, "--home", str(home)])
    code = 0
    try:
        main()
    except SystemExit as end:
        code = int(end.code or 0)
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.mark.slow
def test_an_alarm_stands_until_it_is_cleared(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def typed(*words: str) -> tuple[int, str, str]:
        return say(home, monkeypatch, capsys, *words)

    code, out, _ = typed("alarms")
    assert (code, len(out.splitlines())) == (0, 2)
    assert "north  clock-skew: its clock is far off" in out
    assert "alarms --clear NUMBER" in typed("status")[1]
    code, out, err = typed("alarms", "--clear", "7")
    assert (code, out) == (2, "")
    assert err == ("wardround-server: --clear 7: no such alarm stands; accepted is one of: 2, 1\n")
    code, out, _ = typed("alarms", "--clear", "1", "--format", "json")
    assert code == 0
    assert [alarm["kind"] for alarm in json.loads(out)["alarms"]] == ["disk"]
    assert "clock-skew" not in typed("status")[1]
    assert "clock-skew: its clock is far off (cleared" in typed("alarms", "--all")[1]
    assert typed("alarms", "--clear", "2")[1] == "no alarm stands\n"
    assert typed("alarms", "--clear", "2")[2].endswith("accepted is one of: none stands\n")
