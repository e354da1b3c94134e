"""The command line as a person meets it: right input, wrong input, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from protocol.codec import unpack
from protocol.records import GlobalState
from protocol.study import StudyError, document, load, parse
from simulations.cli import main
from simulations.command import seed_list, study_path
from simulations.documenting import pages
from simulations.plan import PlanError
from simulations.studies import committed
from simulations.template import template
from strategies.chosen import decisions
from strategies.query import QUERY

ROOT = Path(__file__).parents[2]
PNEUMONIA = ROOT / "../shared/data/cls_pneumoniamnist_28.npz"

_OWN_HOURS = 'budget.arguments.site_hours=[["site-9",1.0]]'
HOURS = ("--set", "budget.policy=hours", "--set", _OWN_HOURS)


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def wardround(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    """The command in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["wardround", *words])
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        told = capsys.readouterr()
        return Done(code, told.out, told.err)

    return call


@pytest.mark.slow
def test_new_check_freeze(wardround: Callable[..., Done], tmp_path: Path) -> None:
    assert wardround("study", "new", "my.toml", "--name", "mine").returncode == 0
    again = wardround("study", "new", "my.toml")
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    checked = wardround("study", "check", "my.toml", "--format", "json")
    assert json.loads(checked.stdout)["format"] == 1
    identity = json.loads(checked.stdout)["identity"]
    assert identity == load(tmp_path / "my.toml").identity
    frozen = wardround("study", "freeze", "my.toml", "--out", "frozen")
    assert identity in frozen.stdout
    assert load(tmp_path / "frozen" / "study.toml").identity == identity
    state = unpack(GlobalState, (tmp_path / "frozen" / "weights.safetensors").read_bytes())
    assert sum(a.size for a in state.arrays.values()) > 300_000
    other = wardround("study", "freeze", "my.toml", "--out", "frozen", "--set", "seed=4")
    assert other.returncode == 2
    assert "other frozen weights" in other.stderr
    before = (tmp_path / "frozen" / "study.toml").read_bytes()
    other = wardround("study", "freeze", "my.toml", "--out", "frozen", "--set", "budget.total=999")
    assert (other.returncode, other.stderr.count("\n")) == (2, 1)
    assert "frozen holds another study; accepted is a new folder" in other.stderr
    assert (tmp_path / "frozen" / "study.toml").read_bytes() == before
    again = ("--weights", "frozen/weights.safetensors")
    assert wardround("study", "freeze", "my.toml", "--out", "twice", *again).returncode == 0
    assert load(tmp_path / "twice" / "study.toml").identity == identity


@pytest.mark.slow
def test_check_with_data_says_what_the_budget_can_read(wardround: Callable[..., Done]) -> None:
    checked = wardround(
        "study", "check", str(committed()["demo"]), "--data", "phantom", "--format", "json"
    )
    expected = json.loads(checked.stdout)["expected"]
    assert sorted(expected) == ["all sites", "site-01", "site-02", "site-03", "site-04"]
    together = expected["all sites"]
    assert together["audit"]["cases"] == 12  # a tenth of 128 readings, four sites rounded
    assert together["audit_set"] > 100
    assert 0.01 < together["locked_half_widths"]["auroc"] < 0.1
    assert together["audit_half_widths"]["auroc"] is None  # fewer than 20 cases


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("simulate", "nope"), "study 'nope'"),
        (("simulate", "demo", "--arms", "entropi"), "arm 'entropi'"),
        (("simulate", "demo", "--arms", ","), "no arm"),
        (("simulate", "demo", "--arms", "default+seed=7"), "has another seed or network; accepted"),
        (("simulate", "demo", "--arms", "default+network.name=mlp"), "another seed or network"),
        (("simulate", "demo", "--seeds", "x"), "--seeds 'x'"),
        (("simulate", "demo", "--seeds", "5-3"), "--seeds '5-3': the range runs backwards; accept"),
        (("simulate", "demo", "--sites", "7"), "the cases name 4 sites; accepted is 4, or another"),
        (
            ("simulate", "demo", "--set", "simulation.sites=3"),
            "simulation.sites = 3 with simulation.",
        ),
        (
            ("study", "check", "demo", "--data", "phantom", "--sites", "7"),
            "simulation.sites = 7 with simulation.split = 'site': the cases name 4 sites; accepted",
        ),
        (("simulate", "demo", *HOURS), "names site 'site-9'; accepted are site-01, site-02, site"),
        (("study", "check", "demo", "--data", "phantom", *HOURS), "names site 'site-9'; accepted"),
        (("simulate", "demo", "--seeds", "1-99999999999"), "at most 10000 seeds"),
        (("simulate", "demo", "--seeds", "99999999999"), "at most 10000 seeds"),
        (("simulate", "demo", "--engine", "gpu"), "--engine 'gpu'"),
        (("simulate", "demo", "--scored-on", "train"), "--scored-on 'train'"),
        (("simulate", "demo", "--arms", "full@safe"), "arm 'full@safe'"),
        (("simulate", "demo", "--data", "missing.npz"), "missing.npz"),
        (("simulate", "demo", "--set", "budget.totl=3"), "budget.totl"),
        (("simulate", "demo", "--set", "query.strategy=bald"), "dropout"),
        (("simulate", "demo", "--split", "halves"), "simulation.split"),
        (("simulate", "demo", "--format", "xml"), "--format xml"),
        (("simulate", "demo", "--workers", "0"), "--workers"),
        (("compare", "nowhere"), "simulation.json cannot be read (No such file or directory)"),
        (("compare",), "RUNS"),
        (("report", "nowhere"), "nowhere"),
        (("report", "nowhere", "--out", "."), "--out . is a folder; accepted is a file"),
        (
            ("report", "nowhere", "--out", "plan.json"),
            "accepted is an .html file that is not board",
        ),
        (("report", "nowhere", "--out", "board.html"), "accepted is an .html file that is not boa"),
        (("study", "check", "demo", "--set", "privacy.clipp=1"), "privacy.clipp = 1 is not a key"),
        (("simulate", "demo", "--set", "reading.deadline_hours=1e9"), "reading.deadline_hours = 1"),
        (("simulate", "demo", "--set", "simulation.readers.seconds=1e9"), "of at most 86400"),
        (("study", "check", "missing.toml"), "missing.toml"),
        (("study", "new", "a.toml", "--name", "A"), "name = 'A': accepted is lower-case"),
        (("study", "new", "a.toml", "--name", 'a"b'), "name = 'a\"b'"),
        (("poc", "--patience", "0"), "--patience"),
        (("study", "freeze", "missing.toml"), "--out"),
        (("simulat",), "simulat"),
    ],
)
def test_wrong_input_is_one_sentence_and_exit_code_2(
    words: tuple[str, ...], says: str, wardround: Callable[..., Done], tmp_path: Path
) -> None:
    done = wardround(*words, *(("--out", "new/nested") if words[0] == "simulate" else ()))
    assert done.returncode == 2
    assert says in done.stderr
    if done.stderr.startswith("wardround:"):
        assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_number_of_sites_is_taken_where_it_can_be(wardround: Callable[..., Done]) -> None:
    check = ("study", "check", "demo", "--data", "phantom", "--format", "json")
    for words, sites in (
        ((), 4),
        (("--sites", "4"), 4),
        (("--sites", "6", "--set", "simulation.split=iid"), 6),
    ):
        done = wardround(*check, *words)
        assert done.returncode == 0, done.stderr
        assert len(json.loads(done.stdout)["expected"]) == sites + 1
    assert wardround("study", "check", "demo", "--sites", "6").returncode == 0  # no cases to ask


@pytest.mark.parametrize("out", ["taken", "taken/below"])
@pytest.mark.parametrize("words", [("simulate",), ("study", "freeze")])
def test_a_folder_that_is_a_file_is_one_sentence(
    words: tuple[str, ...], out: str, wardround: Callable[..., Done], tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("mine")
    done = wardround(*words, str(committed()["demo"]), "--out", out)
    assert done.returncode == 1
    assert done.stderr.startswith("wardround: taken")
    assert done.stderr.count("\n") == 1
    assert (tmp_path / "taken").read_text() == "mine"


@pytest.mark.slow
def test_wrong_input_in_a_process_of_its_own(tmp_path: Path) -> None:
    code = "from simulations.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "simulate", "nope"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("wardround: study 'nope': accepted is")


def test_ctrl_c_says_that_it_goes_on(
    wardround: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("simulations.command.compare", interrupted)
    done = wardround("compare", "runs")
    assert done.returncode == 1
    assert "the same command goes on from here" in done.stderr


def test_seeds() -> None:
    study = load(committed()["demo"])
    assert seed_list("3", study) == [0, 1, 2]
    assert seed_list("100-103", study) == [100, 101, 102, 103]
    assert seed_list("3,7", study) == [3, 7]
    for wrong in ("", "0", "-1", "a-b", "5-3", "1,x"):
        with pytest.raises(PlanError):
            seed_list(wrong, study)


def test_committed_studies_are_valid_and_found() -> None:
    assert {"demo", "pneumonia"} <= set(committed())
    for name, path in committed().items():
        assert load(path).name == name
        assert study_path(name) == path


def test_a_new_study_holds_every_default(tmp_path: Path) -> None:
    path = tmp_path / "new.toml"
    path.write_text(template("fresh"))
    study = load(path)
    bare = {"schema": 1, "name": "fresh", "task": {"classes": document(study)["task"]["classes"]}}
    assert study == parse(bare)


def test_the_template_names_the_cold_starts_that_are_accepted() -> None:
    before = " ".join(template("fresh").split("\ncold_start =")[0].replace("\n#", "").split())
    names = before.rpartition("before any label: ")[2].split(", ")
    assert "random" in names
    for name in QUERY:
        study = load(committed()["demo"], [f"query.cold_start={name}"])
        if name in names:
            decisions(study)
        else:
            with pytest.raises(StudyError, match=r"query\.cold_start"):
                decisions(study)


@pytest.mark.parametrize(
    ("path", "page"), [pytest.param(*one, id=one[0].name) for one in pages().items()]
)
def test_generated_pages_are_current(path: Path, page: str) -> None:
    """If this fails: make docs."""
    assert path.read_text(encoding="utf-8") == page


def test_pretrained_weights_must_fit(wardround: Callable[..., Done], tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"odd": np.zeros(3, np.float32)}, tmp_path / "odd.safetensors")
    done = wardround(
        "study",
        "freeze",
        str(committed()["demo"]),
        "--out",
        str(tmp_path / "f"),
        "--weights",
        str(tmp_path / "odd.safetensors"),
    )
    assert done.returncode == 2
    assert not (tmp_path / "f").exists()


@pytest.mark.slow
def test_the_committed_pneumonia_study_learns(
    wardround: Callable[..., Done], tmp_path: Path
) -> None:
    if not PNEUMONIA.exists():
        pytest.skip("the PneumoniaMNIST file is not beside this checkout")
    words = ["simulate", "pneumonia", "--data", str(PNEUMONIA), "--arms", "random,full"]
    words += ["--set", "budget.total=120", "--workers", "2", "--format", "json"]
    done = wardround(*words, "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    arms = json.loads(done.stdout)["arms"]
    assert arms["full"]["final"] > 0.93
    assert 0.6 < arms["random"]["aubc"] < arms["full"]["final"]
