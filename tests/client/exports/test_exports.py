"""Pool, readings and labels out of a site and labels back in, by the commands people use."""

from __future__ import annotations

import csv
import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from client.audit.verify import verify
from client.cli import app
from client.exports.tables import labels, pool, readings
from client.exports.writing import as_csv
from client.patients import site_key
from client.queue import accept, current_cycle
from client.store.store import now
from daemons.terminal import Refused
from protocol.records import Reading

CASES = 12


def run(site: Any, *words: str) -> int:
    return int(app([*words, "--home", str(site.home)], standalone_mode=False) or 0)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_pool_tells_keys_and_states_and_nothing_of_audit(
    north: Callable[..., Any], tmp_path: Path
) -> None:
    site, out = north(), tmp_path / "pool.csv"
    site.read("ann", 2, 0)
    run(site, "export", "pool", "--study", "chest", "--out", str(out))
    rows = table(out)
    assert [r["case"] for r in rows] == site.keys
    assert [r["state"] for r in rows] == ["open", "open", "read", *["open"] * 3, *["waiting"] * 6]
    assert set(rows[0]) == {"case", "patient", "state"}
    assert "jane" not in out.read_text()
    assert "audit" not in out.read_text()
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_files_are_named_when_asked_for_and_the_log_says_so(
    north: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site, out = north(), tmp_path / "pool.json"
    run(site, "export", "pool", "--study", "chest", "--out", str(out), "--with-files")
    assert "may name patients" in capsys.readouterr().err
    items = json.loads(out.read_text())["training"]
    assert [item["image"] for item in items][:2] == ["/scans/jane-doe-0", "/scans/jane-doe-1"]
    with site.store() as store:
        words = [w for (w,) in store.connection.execute("SELECT words FROM audit ORDER BY line")]
        assert words[-1] == f"pool, {CASES} rows, with the names of files"
        assert not [w for w in words if "jane" in w]


def test_readings_come_with_everything_said_and_withdrawn_ones_are_marked(
    north: Callable[..., Any], tmp_path: Path
) -> None:
    site, out = north(), tmp_path / "readings.csv"
    site.read("ann", 1, 1, confidence=4, comment="=cmd()")
    site.read("ben", 1, 0)
    with site.store() as store, store.transaction():
        store.connection.execute("INSERT INTO withdrawals VALUES (2, 2, 'now')")
    run(site, "export", "readings", "--study", "chest", "--out", str(out))
    first, second = table(out)
    assert (first["case"], first["reader"], first["value"]) == (site.keys[1], "ann", "opacity")
    assert (first["confidence"], first["comment"], first["stage"]) == ("4", "'=cmd()", "blind")
    assert (first["withdrawn"], second["withdrawn"]) == ("", "yes")
    assert float(first["seconds"]) == 7.5


def test_labels_are_settled_ties_have_none_and_audit_is_apart(
    north: Callable[..., Any], tmp_path: Path
) -> None:
    site, out = north(), tmp_path / "labels.json"
    for case, said in ((0, (1, 1)), (1, (0, 0)), (2, (0, 1))):
        for reader, chosen in zip(("ann", "ben"), said, strict=True):
            site.read(reader, case, chosen)
    run(site, "export", "labels", "--study", site.study.identity[:8], "--out", str(out))
    told = json.loads(out.read_text())
    assert told["labels"] == {"0": "clear", "1": "opacity"}
    assert [(i["case"], i["label"]) for i in told["test"]] == [(site.keys[0], 1)]
    training = {i["case"]: i for i in told["training"]}
    assert training[site.keys[1]]["label"] == 0
    assert "label" not in training[site.keys[2]]
    assert training[site.keys[2]]["share of opacity"] == 0.5


def test_withdrawn_patients_are_in_no_export(north: Callable[..., Any]) -> None:
    site = north()
    site.read("ann", 1, 1)
    with site.store() as store:
        with store.transaction():
            store.cases.exclude(site_key(site.home).patient("jane-doe-1"))
        tables = pool(store, site.study), readings(store, site.study), labels(store, site.study)
    assert [len(rows) for rows in tables] == [CASES - 1, 0, 0]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_what_ben_labels_elsewhere_comes_back_as_his_once(
    suffix: str, north: Callable[..., Any], tmp_path: Path
) -> None:
    site, out = north(), tmp_path / f"mine{suffix}"
    for case in range(3):
        site.read("ann", case, case % 2)
    run(site, "export", "readings", "--study", "chest", "--out", str(out))
    mine = out.read_text().replace("ann", "ben")
    out.write_text(mine)
    before = site.answers()
    words = ("import-labels", str(out), "--study", "chest", "--reader", "ben")
    run(site, *words, "--dry-run")
    assert site.answers() == before
    run(site, *words)
    fresh = site.answers()[3:]
    assert [(case, value) for case, _, _, value, _ in fresh] == [
        (case, value) for case, _, _, value, _ in before
    ]
    assert {reader for _, reader, *_ in fresh} == {"ben"}
    assert {seconds for *_, seconds in fresh} == {7.5}
    run(site, *words)
    assert len(site.answers()) == 6
    with site.store() as store:
        assert store.readings.spent(site.study.identity)[0] == 6
        assert verify(store, "north", None).whole


def imported(
    site: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], lines: list[str]
) -> dict[str, Any]:
    file = tmp_path / "labels.csv"
    file.write_text("\n".join(lines), encoding="utf-8")
    capsys.readouterr()
    words = ("import-labels", str(file), "--study", "chest", "--reader", "ann", "--format", "json")
    run(site, *words)
    return dict(json.loads(capsys.readouterr().out))


def test_every_row_that_is_not_taken_is_counted_with_its_reason(
    north: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = north()
    site.read("ann", 1, 0)
    keys = site.keys
    lines = ["case,label", f"{keys[2]},opacity", f"{keys[3]},1", f"{keys[1]},clear"]
    lines += [f"{keys[8]},clear", f"{'0' * 32},clear", f"{keys[4]},fracture", f"{keys[5]},"]
    told = imported(site, tmp_path, capsys, lines)
    assert told["taken"] == 2
    assert {s["reason"]: s["count"] for s in told["skipped"]} == {
        "not open to this reader now": 2,
        "no case of this site": 1,
        "a label of no class here": 1,
        "without a label": 1,
    }
    assert [value for _, _, _, value, _ in site.answers()][1:] == ["[0, 1]", "[0, 1]"]
    assert site.answers()[-1][4] == 7.5  # what a reading takes here, since the file says nothing


def test_the_grant_ends_an_import_and_a_dispute_keeps_its_reading(
    north: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = north(grant=6)
    site.read("ann", 1, 0)
    site.read("ben", 1, 1)  # cleo is to settle it
    lines = ["case,label", *(f"{key},clear" for key in (site.keys[0], *site.keys[2:6]))]
    told = imported(site, tmp_path, capsys, lines)
    assert told["taken"] == 3
    assert sum(s["count"] for s in told["skipped"]) == 2
    assert "what readers disagree on" in told["skipped"][0]["reason"]


def test_who_does_not_read_imports_nothing(north: Callable[..., Any], tmp_path: Path) -> None:
    site = north()
    file = tmp_path / "labels.csv"
    file.write_text(f"case,label\n{site.keys[1]},clear\n", encoding="utf-8")
    words = ("import-labels", str(file), "--study", "chest", "--reader")
    with pytest.raises(Refused, match="is no reader but adjudicator"):
        run(site, *words, "cleo")
    with pytest.raises(ValueError, match="no account 'zoe'"):
        run(site, *words, "zoe")
    with site.store() as store, store.transaction():
        store.cycles.close(site.study.identity, 0, now())
        assert current_cycle(store, site.study) is None
    with pytest.raises(Refused, match="no cycle is open"):
        run(site, *words, "ann")
    assert site.answers() == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("export", "images", "--study", "chest", "--out", "x.csv"), "accepted is pool"),
        (("export", "pool", "--study", "chest", "--out", "x.txt"), "ends in .csv or .json"),
        (("export", "pool", "--study", "heart", "--out", "x.csv"), "no study of that name"),
    ],
)
def test_a_wrong_word_is_one_sentence_and_no_file(
    words: tuple[str, ...],
    sentence: str,
    north: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=sentence):
        run(north(), *words)
    assert not list(tmp_path.glob("x.*"))


def test_several_labels_and_none_survive_the_way_out_and_in(
    north: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = north('task.kind="multi-label"')
    with site.store() as store, store.transaction():
        opened = store.readings.opened(site.study.identity, 0)
        for case, value in ((1, (1, 1)), (2, (0, 0))):
            reading = Reading(site.keys[case], "ben", now(), 1.0, "answered", value)
            accept(store, site.study, 0, opened[case], reading)
    with site.store() as store:
        text = as_csv("readings", site.study, readings(store, site.study))
    told = imported(site, tmp_path, capsys, text.replace("ben", "ann").splitlines())
    assert told["taken"] == 2
    assert [value for _, _, _, value, _ in site.answers()][2:] == ["[1, 1]", "[0, 0]"]
