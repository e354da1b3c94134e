"""`wardround-server submit`, `pause`, `resume`, `stop`, `export`, `status`, as people type them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from safetensors.numpy import load_file

from daemons.secrets import new_node_key, public_openssh
from protocol.codec import digest, pack
from protocol.coordination_pb2 import Offer, Order
from protocol.records import GlobalState
from protocol.study import Study, document, load, parse
from server.cli import main
from server.home import HomeConfig, ServerPaths
from server.keys import make_server
from server.registry.outbox_shelf import OutboxShelf
from server.registry.registry import Registry
from server.registry.site_shelf import JoinedSite, Signed, SiteShelf
from server.registry.study_shelf import StudyRow, StudyShelf
from server.study_folder import StudyFolder, Submission

DEMO = Path(__file__).parents[2] / "simulations" / "studies" / "demo.toml"
Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def paths(tmp_path: Path) -> ServerPaths:
    """A server's home with three sites, one of them revoked."""
    home = tmp_path / "home"
    config = HomeConfig(address="127.0.0.1:4430", asked_by="Dr. Ada")
    make_server(home, config, datetime.now(UTC))
    registry = Registry.open(home / "registry.db")
    shelf, at = SiteShelf(registry.connection), "2090-01-01T00:00:00+00:00"
    with registry.transaction():
        for number, name in enumerate(("north", "south", "west")):
            key = public_openssh(new_node_key().public_key())
            signed = Signed(f"{number + 1:x}", name, name, at, "")
            shelf.put(JoinedSite(name, number, "active", key, None, signed.serial, at, at), signed)
        shelf.revoke("west", at)
    registry.close()
    return ServerPaths(home)


@pytest.fixture
def say(
    paths: ServerPaths, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Say:
    """Type a command; exit code, output, errors."""

    def typed(*words: object) -> tuple[int, str, str]:
        monkeypatch.setenv("WARDROUND_HOME", str(paths.home))
        monkeypatch.setattr("sys.argv", ["wardround-server", *map(str, words)])
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    return typed


def frozen(folder: Path, *overrides: str) -> Path:
    """What `wardround study freeze` writes, with weights of no network: a server has no torch."""
    content = document(load(DEMO, overrides))
    content.pop("simulation")
    folder.mkdir()
    (folder / "study.toml").write_text(tomli_w.dumps(content), encoding="utf-8")
    weights = GlobalState({"w": np.arange(6, dtype=np.float32).reshape(2, 3)})
    (folder / "weights.safetensors").write_bytes(pack(weights))
    return folder


def letters(paths: ServerPaths, site: str) -> list[Any]:
    registry = Registry.open(paths.registry)
    found = OutboxShelf(registry.connection).after(site, 0)
    registry.close()
    return found


def test_a_submitted_study_is_offered_to_every_active_site(
    say: Say, paths: ServerPaths, tmp_path: Path
) -> None:
    code, out, _ = say("submit", frozen(tmp_path / "frozen"), "--format", "json")
    told = json.loads(out)
    assert code == 0
    assert told["sites"] == ["north", "south"]
    folder = StudyFolder(paths.studies / told["identity"][:12])
    assert folder.study().identity == told["identity"]
    assert digest(folder.weights()) == told["weights"]
    assert folder.submission().sites == ("north", "south")
    assert folder.submission().server == str(paths.home)
    for site in ("north", "south"):
        (letter,) = letters(paths, site)
        offer = Offer.FromString(letter.payload)
        assert (letter.kind, letter.sequence) == ("offer", 1)
        assert parse(json.loads(offer.document)).identity == offer.study == told["identity"]
        assert (offer.weights, offer.asked_by) == (told["weights"], "Dr. Ada")
        assert (offer.sites, offer.parameters) == (2, 6)
    assert letters(paths, "west") == []


@pytest.mark.slow
def test_what_does_not_fit_is_refused_and_nothing_is_written(
    say: Say, paths: ServerPaths, tmp_path: Path
) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    shutil.copy(DEMO, raw / "study.toml")
    broken = frozen(tmp_path / "broken")
    (broken / "weights.safetensors").write_bytes(b"x" * 100)
    lab = frozen(tmp_path / "lab", 'query.strategy="my_lab.ideas:Novelty"')
    small = frozen(tmp_path / "small", "budget.per_cycle=1", "budget.first=1")
    hours = ("budget.policy=hours", 'budget.arguments.site_hours=[["west",1.0]]')
    elsewhere = frozen(tmp_path / "elsewhere", *hours)
    good = frozen(tmp_path / "good")
    for words, hint in [
        ((raw,), "weights.safetensors"),
        ((tmp_path / "nowhere",), "study.toml"),
        ((broken,), "not frozen weights"),
        ((lab,), "my_lab.ideas:Novelty"),
        ((small,), "budget."),
        ((elsewhere,), "budget.arguments names site 'west'; accepted are north, south"),
        ((good, "--sites", "north,west"), "site west is not active"),
        ((good, "--sites", "east"), "north, south"),
    ]:
        code, _, error = say("submit", *words)
        assert code == 2, words
        assert hint in error
        assert len(error.splitlines()) == 1
    assert list(paths.studies.iterdir()) == []
    assert letters(paths, "north") == []


@pytest.mark.slow
def test_the_same_study_and_an_open_name_are_refused(say: Say, tmp_path: Path) -> None:
    first = frozen(tmp_path / "first")
    twin = frozen(tmp_path / "twin", "seed=7")
    assert say("submit", first)[0] == 0
    assert say("submit", first)[0] == 3
    code, _, error = say("submit", twin)
    assert code == 3
    assert "a study named demo" in error
    assert say("stop", "demo")[0] == 0
    assert say("submit", twin)[0] == 0
    assert say("submit", first)[0] == 3


@pytest.mark.slow
def test_pause_resume_and_stop_reach_the_sites_in_order(
    say: Say, paths: ServerPaths, tmp_path: Path
) -> None:
    say("submit", frozen(tmp_path / "frozen"), "--sites", "south")
    assert say("resume", "demo")[0] == 3  # it runs
    for word, state in (("pause", "paused"), ("resume", "running"), ("stop", "stopped")):
        code, out, _ = say(word, "demo", "--format", "json")
        assert (code, json.loads(out)["state"]) == (0, state)
    assert say("resume", "demo")[0] == 3
    assert say("pause", "nothing")[0] == 2
    kinds = [Order.FromString(letter.payload).kind for letter in letters(paths, "south")[1:]]
    assert kinds == ["study-paused", "study-resumed", "study-stopped"]
    assert letters(paths, "north") == []


def test_status_says_how_everything_stands(say: Say, paths: ServerPaths, tmp_path: Path) -> None:
    say("submit", frozen(tmp_path / "frozen"))
    code, out, _ = say("status", "--format", "json")
    seen = json.loads(out)
    assert (code, seen["format"], seen["daemon"]["state"]) == (0, 1, "stopped")
    assert [(s["name"], s["state"]) for s in seen["sites"]] == [
        ("north", "active"), ("south", "active"), ("west", "revoked"),
    ]  # fmt: skip
    (study,) = seen["studies"]
    assert (study["name"], study["state"], study["cycle"]) == ("demo", "running", None)
    assert (study["spent"], study["granted"], study["returned"]) == (0, 0, 0)
    assert study["budget"] == 128
    assert study["sites"][0] == {"name": "north", "standing": "not told yet", "spent": 0}
    _, text, _ = say("status")
    assert "study demo" in text
    assert "west  revoked" in text
    (paths.studies / study["folder"] / "study.toml").unlink()
    assert "cannot be read" in say("status")[1]
    assert say("status", "--format", "xml")[0] == 2


def registered(paths: ServerPaths, study: Study, weights: Any, server: Path) -> StudyRow:
    """The folder of a study that ran in this process, as one that was submitted."""
    row = StudyRow(study.identity, study.name, "theirs", digest(weights), "Dr. Ada", ("north",))
    shutil.copytree(server, paths.studies / "theirs")
    text = tomli_w.dumps(document(study)).encode()
    submission = Submission(sites=("north", "south", "west"), server=str(paths.home))
    StudyFolder(paths.studies / "theirs").write(text, pack(GlobalState(weights)), submission)
    registry = Registry.open(paths.registry)
    StudyShelf(registry.connection).add(row)
    registry.close()
    return row


@pytest.mark.slow
def test_a_model_is_exported_with_a_card_that_is_its_own(
    say: Say, paths: ServerPaths, tmp_path: Path, world: Callable[..., Any]
) -> None:
    made = world()
    milestones = made.run()
    row = registered(paths, made.study, made.weights, made.folder / "server")
    out = tmp_path / "out"
    code, said, _ = say("export", row.identity[:8], "--out", out)
    assert code == 0
    assert "NOT FINISHED" in said
    registry = Registry.open(paths.registry)
    StudyShelf(registry.connection).move(row.identity, "ended")
    registry.close()
    assert "finished" in say("export", row.name, "--out", out)[1]
    arrays = load_file(out / "model.safetensors")
    assert digest(arrays) == digest(made.model(1).arrays)
    card = json.loads((out / "card.json").read_text(encoding="utf-8"))
    assert card["model"]["hash"] == digest(arrays)
    assert (card["identity"], card["weights"]) == (row.identity, digest(made.weights))
    assert (card["model"]["cycle"], card["cycles"], card["finished"]) == (1, 2, True)
    assert sum(r["spent"] for r in card["readings"].values()) == 24
    assert all(r["granted"] == r["spent"] + r["returned"] for r in card["readings"].values())
    measured = [e.audit for e in milestones[-1].evaluations.values() if e.audit]
    assert card["audit"]["cases"] == sum(e.cases for e in measured)
    left = sum(e.unsettled for e in measured)
    said = f"{left} of {card['audit']['cases'] + left} audit cases read"
    text = (out / "card.md").read_text(encoding="utf-8")
    assert said in text
    assert ("| accuracy of the decisions |" in text) is (left > 0)
    assert row.identity in text
    assert "auroc" in text
    assert "NOT" not in text


def test_a_study_without_a_model_exports_nothing(say: Say, tmp_path: Path) -> None:
    say("submit", frozen(tmp_path / "frozen"))
    code, _, error = say("export", "demo", "--out", tmp_path / "out")
    assert code == 2
    assert "no measured model yet" in error
    assert not (tmp_path / "out").exists()
