"""The practice set: what enters it, what leaves every pool with it, and what is never repeated."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from client.cli import app
from client.home import HomeConfig, make_home, open_store
from client.keys import SiteKey
from client.paths import HomePaths
from client.practice_set import add, listed, remove
from client.site import Arrival, enrol
from client.store.practice_shelf import Tried
from client.store.reading_shelf import Opening
from client.store.store import SiteStore
from protocol.study import Study

KEY = SiteKey(bytes(16))
AT = "2026-01-05T08:00:00+00:00"


@pytest.fixture
def study(tiny_store: SiteStore, tiny_study: Callable[..., Study]) -> Study:
    """Approved at a site of 20 patients with two cases each, two of which are locked."""
    study = tiny_study("audit.patients=0.3")
    names = [f"scan of jane doe {i}" for i in range(42)]
    splits = ["pool"] * 40 + ["locked"] * 2
    arrival = Arrival(names, [f"jane {i // 2}" for i in range(42)], splits, range(42))
    enrol(tiny_store, KEY, arrival, clustered=True)
    with tiny_store.transaction():
        tiny_store.steps.approve(study, "w")
    return study


def table(folder: Path, *rows: str, head: str = "case,class,words") -> Path:
    file = folder / "practice.csv"
    file.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return file


def everywhere(store: SiteStore, study: Study) -> set[int]:
    share = study.audit.patients
    pool = store.cases.pool(study.identity, share, 0)
    return set(pool.tolist()) | set(store.cases.audit_left(study.identity, share, 0).tolist())


def test_practice_patients_leave_every_pool_and_audit_set(
    tiny_store: SiteStore, study: Study, tmp_path: Path
) -> None:
    a, b = study.task.names[:2]
    key = KEY.case("scan of jane doe 7")  # a key will do, too
    file = table(tmp_path, f"scan of jane doe 2,{a},first", f"{key},{b},")
    assert len(everywhere(tiny_store, study)) == 40
    assert add(tiny_store, KEY, file) == 2
    left = everywhere(tiny_store, study)
    assert left == set(range(1, 41)) - {3, 4, 7, 8}  # both cases of each patient
    assert listed(tiny_store).classes == {a: 1, b: 1}
    late = Arrival(["new"], ["jane 1"], ["pool"], [42])
    enrol(tiny_store, KEY, late, clustered=True)  # a later case of a practice patient
    assert everywhere(tiny_store, study) == left
    every = tiny_store.practice.every()
    assert [(c.case, c.words) for c in every] == [(3, "first"), (8, "")]
    assert add(tiny_store, KEY, table(tmp_path, f"scan of jane doe 2,{b},")) == 1  # another answer
    assert listed(tiny_store).classes == {b: 2}


def test_removed_cases_go_back_unless_somebody_was_told_their_answer(
    tiny_store: SiteStore, study: Study, tmp_path: Path
) -> None:
    name = study.task.names[0]
    add(tiny_store, KEY, table(tmp_path, *(f"scan of jane doe {i},{name}," for i in (0, 2, 4))))
    with tiny_store.transaction():
        tried = Tried(1, "answered", (1, *[0] * (len(study.task.classes) - 1)))
        tiny_store.practice.keep(study.identity, "ann", tried, AT)
    assert remove(tiny_store, KEY, table(tmp_path, "scan of jane doe 2", head="case")) == 1
    assert everywhere(tiny_store, study) == set(range(1, 41)) - {1, 2, 5, 6}
    assert remove(tiny_store, KEY, None) == 2
    assert everywhere(tiny_store, study) == set(range(1, 41)) - {1, 2}
    assert listed(tiny_store).cases == 0


def test_a_purged_patient_leaves_the_set(
    tiny_store: SiteStore, study: Study, tmp_path: Path
) -> None:
    add(tiny_store, KEY, table(tmp_path, f"scan of jane doe 0,{study.task.names[0]},"))
    with tiny_store.transaction():
        tiny_store.practice.keep(study.identity, "ann", Tried(1, "unsure", ()), AT)
        assert tiny_store.cases.purge(KEY.patient("jane 0"), AT) == 2
    assert tiny_store.practice.every() == []
    assert tiny_store.practice.tried(study.identity, "ann") == []


@pytest.mark.parametrize(
    ("rows", "head", "says"),
    [
        (["nobody,{0},"], "case,class,words", "line 2: accepted is a case of this site's pool"),
        (["scan of jane doe 40,{0},"], "case,class,words", "line 2: accepted is a case of"),
        (["scan of jane doe 9,{0},"], "case,class,words", "no study has read or opened"),
        (["scan of jane doe 8,{0},"], "case,class,words", "no study has read or opened"),
        (["scan of jane doe 0,fracture,"], "case,class,words", "line 2: accepted is one of"),
        (["scan of jane doe 0,{0}|{1},"], "case,classes,words", "line 2: accepted is one of"),
        (["scan of jane doe 0,{0},", "scan of jane doe 0,{0},"], "case,class,words", "once"),
        (["scan of jane doe 0,{0}"], "name,class", "accepted are the columns case"),
        ([",{0},"], "case,class,words", "line 2: accepted is a case"),
        (["scan of jane doe 0,{0}," + 201 * "x"], "case,class,words", "200 letters"),
    ],
)
def test_a_wrong_line_changes_nothing_and_repeats_no_name(
    tiny_store: SiteStore, study: Study, tmp_path: Path, rows: list[str], head: str, says: str
) -> None:
    with tiny_store.transaction():
        tiny_store.readings.open(study.identity, 0, [Opening(9, "query")])  # of jane 4, once
    good = f"scan of jane doe 20,{study.task.names[0]},"
    filled = [row.format(*study.task.names) for row in rows]
    with pytest.raises(ValueError, match=says) as refused:
        add(tiny_store, KEY, table(tmp_path, *filled, good, head=head))
    assert "jane" not in str(refused.value)
    assert "nobody" not in str(refused.value)
    assert tiny_store.practice.every() == []
    assert not np.isin([21, 22], sorted(everywhere(tiny_store, study)), invert=True).any()


@pytest.mark.slow
def test_which_classes_are_meant_must_be_plain(
    tiny_store: SiteStore, study: Study, tiny_study: Callable[..., Study], tmp_path: Path
) -> None:
    document = study.model_dump(mode="json", by_alias=True)
    document["task"]["classes"] = [{"name": n, "definition": n} for n in ("up", "down")]
    from protocol.study import parse

    other = parse(document)
    with tiny_store.transaction():
        tiny_store.steps.approve(other, "w")
    file = table(tmp_path, "scan of jane doe 0,up,")
    with pytest.raises(ValueError, match="--study"):
        add(tiny_store, KEY, file)
    assert add(tiny_store, KEY, file, other.identity[:12]) == 1


def test_the_command_says_counts_and_no_names(
    tmp_path: Path, tiny_study: Callable[..., Study]
) -> None:
    home, study = tmp_path / "site", tiny_study()
    make_home(home, HomeConfig(name="north", durable=False))
    HomePaths(home).keys.mkdir()
    (HomePaths(home).keys / "site.secret").write_bytes(bytes(16))
    store = open_store(home, durable=False)
    enrol(store, KEY, Arrival(["jane"], ["jane"], ["pool"], [0]), clustered=True)
    with store.transaction():
        store.steps.approve(study, "w")
    file, runner = table(tmp_path, f"jane,{study.task.names[1]},"), CliRunner()
    done = runner.invoke(app, ["practice", "add", str(file), "--home", str(home)])
    assert done.output == "1 practice cases added\n"
    told = runner.invoke(app, ["practice", "list", "--home", str(home), "--format", "json"])
    assert json.loads(told.output) == {
        "format": 1, "cases": 1, "patients": 1, "classes": {study.task.names[1]: 1},
    }  # fmt: skip
    words = [row[0] for row in store.connection.execute("SELECT words FROM audit")]
    assert words == ["1 practice cases added"]
    gone = runner.invoke(app, ["practice", "remove", "--home", str(home), "--format", "json"])
    assert json.loads(gone.output) == {"format": 1, "removed": 1}
    store.close()
