"""The commands about studies: what an admin may decide, when, and in which words it is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from client.examining import OfferRefused
from client.store.step_shelf import StepRefused
from protocol.steps import Code
from protocol.study import Study


@pytest.mark.slow
def test_a_study_goes_its_way(home: Any, tiny_study: Callable[..., Study]) -> None:
    offer = home.offer(tiny_study())
    short, stands = offer.identity[:8], []
    for decision in ("approve", "pause", "resume", "withdraw"):
        yes = ["--yes"] if decision in ("approve", "withdraw") else []
        said = home.say(decision, short, *yes, "--format", "json")
        assert said.code == 0, said.err
        assert said.json["format"] == 1
        stands.append(said.json["standing"])
    assert stands == ["approved", "paused", "approved", "withdrawn"]
    assert [e for e, _ in home.events()] == ["approved", "paused", "resumed", "withdrawn"]
    assert home.events()[0][1] == f"weights {offer.weights}"
    with pytest.raises(StepRefused) as refused:
        home.store.steps.study(offer.identity)
    assert refused.value.code is Code.WITHDRAWN


@pytest.mark.parametrize(
    ("before", "asked", "words"),
    [
        ([], "pause", "is not approved yet"),
        ([], "resume", "is not approved yet"),
        ([], "withdraw", "is not approved yet"),
        (["approve"], "approve", "is approved; accepted is one that is not approved yet or was"),
        (["approve"], "refuse", "is approved"),
        (["approve", "pause"], "approve", "is paused"),
        (["refuse"], "pause", "was refused"),
        (["approve", "withdraw"], "approve", "was withdrawn, which is final"),
        (["approve", "withdraw"], "resume", "was withdrawn, which is final"),
    ],
)
def test_what_does_not_follow_is_refused(
    before: list[str], asked: str, words: str, home: Any, tiny_study: Callable[..., Study]
) -> None:
    identity = home.offer(tiny_study()).identity

    def decide(what: str) -> Any:
        yes = ["--yes"] if what in ("approve", "withdraw") else []
        return home.say(what, identity, *yes)

    for what in before:
        assert decide(what).code == 0
    lines = len(home.events())
    said = decide(asked)
    assert said.code == 3
    assert words in said.err
    assert said.err.count("\n") == 1
    assert len(home.events()) == lines


@pytest.mark.slow
def test_a_refused_study_may_be_approved_later(home: Any, tiny_study: Callable[..., Study]) -> None:
    identity = home.offer(tiny_study()).identity
    assert home.say("refuse", identity).code == 0
    assert home.say("studies").out.split()[1] == "refused"
    assert home.say("approve", identity, "--yes").code == 0
    assert home.store.steps.approved() == [identity]


@pytest.mark.parametrize("command", ["plan", "approve", "refuse", "pause", "resume", "withdraw"])
@pytest.mark.parametrize("prefix", ["ab", "ffffffff", "../../etc", "Ä" * 9])
def test_a_wrong_identity_is_bad_input(
    command: str, prefix: str, home: Any, tiny_study: Callable[..., Study]
) -> None:
    home.offer(tiny_study())
    yes = ["--yes"] if command in ("approve", "withdraw") else []
    said = home.say(command, prefix, *yes)
    assert said.code == 2
    assert "known here: " in said.err


@pytest.mark.parametrize("command", ["studies", "plan", "pause abcdef", "exclude x", "purge x"])
def test_other_formats_and_homes_are_bad_input(command: str, say: Any, tmp_path: Path) -> None:
    said = say(*command.split(), "--format", "yaml")
    assert said.code == 2
    assert "accepted is text or json" in said.err
    said = say(*command.split())
    assert said.code == 2
    assert not (tmp_path / "n" / "site.db").exists()


def test_nobody_there_to_be_asked_is_bad_input(home: Any, tiny_study: Callable[..., Study]) -> None:
    identity = home.offer(tiny_study()).identity
    assert home.say("approve", identity).code == 2
    assert home.say("approve", identity, "--format", "json").code == 2
    assert not home.store.steps.approved()


def test_a_study_that_names_a_program_cannot_be_approved(
    home: Any, tiny_study: Callable[..., Study]
) -> None:
    study = tiny_study('query.strategy="subprocess:Popen"')
    home.offer(study, "a name from outside")
    said = home.say("approve", study.identity, "--yes")
    assert said.code == 3
    assert "'subprocess:Popen' would be imported" in said.err
    assert not home.store.steps.approved()


def test_a_package_that_the_admin_listed_may_be_named(
    home: Any, tiny_study: Callable[..., Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from client.home import make_home, read_config

    (tmp_path / "ward_lab.py").write_text(
        "from dataclasses import dataclass\n"
        "from strategies.pool import Needs\n"
        "@dataclass(frozen=True)\n"
        "class Novel:\n"
        "    needs = Needs()\n"
        "    def select(self, pool, k, rng): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    study = tiny_study('query.strategy="ward_lab:Novel"')
    home.offer(study, "a name from outside")
    assert home.say("approve", study.identity, "--yes").code == 3
    config = read_config(home.folder).model_copy(update={"plugins": ("ward_lab",)})
    make_home(home.folder, config)
    assert home.say("approve", study.identity, "--yes").code == 0


def test_the_same_study_with_other_weights_is_not_taken_for_it(
    home: Any, tiny_study: Callable[..., Study]
) -> None:
    study = tiny_study()
    home.offer(study)
    with pytest.raises(OfferRefused, match="known here with aaaaaaaaaaaa"):
        home.offer(study, weights="b" * 64)
    home.say("refuse", study.identity)
    home.offer(study, weights="b" * 64)
    assert home.say("studies", "--format", "json").json["studies"][0]["standing"] == "waiting"


def test_a_server_cannot_fill_the_disk_with_offers(
    home: Any, tiny_study: Callable[..., Study], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.receiving.MOST_OFFERS", 2)
    for seed in range(2):
        home.offer(tiny_study(f"seed={seed}"))
    home.offer(tiny_study("seed=1"))
    with pytest.raises(OfferRefused, match="one study more than the 2"):
        home.offer(tiny_study("seed=2"))


def test_an_offer_that_changes_while_its_plan_is_read_is_not_approved(
    home: Any, tiny_study: Callable[..., Study]
) -> None:
    from client import approval
    from daemons.terminal import Refused

    study = tiny_study()
    home.offer(study)
    read = approval.named(home.store, study.identity)
    home.store.offers.decide(study.identity, "refused", "then")
    home.offer(study, weights="b" * 64)
    with pytest.raises(Refused, match="read its plan again"):
        approval.approve(home.store, read, ())
