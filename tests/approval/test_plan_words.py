"""A study's plan: everything that an admin must know before saying yes, in plain words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from protocol.networks import NETWORKS
from protocol.study import Study, StudyError


def test_the_plan_says_what_the_study_will_do(home: Any, tiny_study: Callable[..., Study]) -> None:
    offer = home.offer(tiny_study())
    said = home.say("plan")
    assert said.code == 0
    for words in (
        "Ann asks 3 sites to take part in the study tiny.",
        "tiny-cnn",
        "6,178 parameters",
        "grey images of 8 x 8 pixels",
        '"yes": y',
        "1 physician reads each case.",
        "At most 12 readings in one cycle and 24 in the whole study",
        "about 8 readings here",
        "25% of the patients are the audit set",
        "A patient is never in two parts",
        "Which cases are read: entropy. Prefer ",
        "How many each site reads: uniform. ",
        "passes over this site's labels each, but at least ",
        "The trained model (SiteUpdate), once a cycle, at most",
        "fewer than 16 patients",
        "Updates may reveal images: there is no differential privacy in this study.",
        "Whoever runs the server sees each site's trained model.",
        "wardround 0.1.0 here, 0.1.0 at the server.",
        f"Study {offer.identity}",
        f"First weights {offer.weights}",
        "No study of this name was approved here before.",
    ):
        assert words in said.out, words


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ((), "They never see what the model says."),
        (('reading.show_ai="after"',), "is kept, and the first one trains."),
        (('reading.show_ai="after"', 'reading.trains="after-ai"'), "the audit set keeps the first"),
        (("reading.second_share=0.2",), "20% of the cases, drawn by chance, go to one physician"),
        (("reading.repeats=0.1",), "10% of a physician's cases come back to them unmarked"),
        (("reading.practice=5",), "answers 5 practice cases of this site"),
        (
            ("stopping.gain=cycle",),
            "After each cycle but the first two more models are trained, on",
        ),
        (("stopping.gain=end",), "The same sums of two models"),
    ],
)
def test_the_plan_says_what_readers_do_and_see(
    home: Any, tiny_study: Callable[..., Study], rule: tuple[str, ...], words: str
) -> None:
    home.offer(tiny_study(*rule))
    assert words in " ".join(home.say("plan").out.split())


def test_secagg_plan_says_who_sees_what_and_against_whom(
    home: Any, tiny_study: Callable[..., Study]
) -> None:
    home.offer(tiny_study("aggregation.secure=true"))
    said = " ".join(home.say("plan").out.split())
    assert "The server sees the sum of 3 or more sites' trained models and none alone" in said
    assert "a server that lies, and makes up the other sites, would see this site's model" in said
    assert "The trained model, under a mask and never bare (SiteUpdate)" in said
    assert "A part of the masked sum (SecAgg), 4 times a cycle, four in each round" in said
    assert "sees each site's trained model" not in said


def test_the_plan_for_programs_has_every_record_with_its_size(
    home: Any, tiny_study: Callable[..., Study]
) -> None:
    home.offer(tiny_study())
    (plan,) = home.say("plan", "--format", "json").json["plans"]
    leaves = {row["record"]: row for row in plan["leaves"]}
    assert {"SiteReport", "SiteUpdate", "SiteEvaluation", "Progress", "Head"} <= leaves.keys()
    assert all(row["largest_bytes"] > 0 and row["often"] for row in leaves.values())
    assert leaves["SiteUpdate"]["largest_bytes"] > 4 * 6178
    assert {f["name"] for f in leaves["SiteUpdate"]["fields"]} >= {"arrays", "weight", "loss"}
    assert plan["standing"] == "waiting"


def test_a_changed_study_says_what_changed(home: Any, tiny_study: Callable[..., Study]) -> None:
    first = home.offer(tiny_study())
    assert home.say("approve", first.identity, "--yes").code == 0
    changed = tiny_study("training.rounds_per_cycle=9", "seed=5")
    home.offer(changed, weights="b" * 64)
    said = home.say("plan", changed.identity)
    assert f"It differs from study {first.identity[:12]} of the same name" in said.out
    assert "in 3 places:" in said.out
    assert "training.rounds_per_cycle: 1 then, 9 now" in said.out
    assert "seed: 0 then, 5 now" in said.out
    assert "first weights: aaaaaaaaaaaa then, bbbbbbbbbbbb now" in said.out
    assert home.store.steps.approved() == [first.identity]


def test_a_plan_cannot_write_over_the_screen(home: Any, tiny_study: Callable[..., Study]) -> None:
    study = tiny_study('task.classes=[{name="\\u001b[2Jno", definition="a"}, '
                       '{name="yes", definition="\\u202ehidden"}]')  # fmt: skip
    home.offer(study, asked_by="Ann\x1b[31m", version="1\r0.1.0")
    said = home.say("plan").out
    assert all(c.isprintable() or c == "\n" for c in said)


def test_without_a_study_there_is_no_plan(home: Any) -> None:
    assert home.say("plan").out == "no study waits for an answer\n"
    assert home.say("studies").out == "no study has asked to run here\n"
    assert home.say("plan", "--format", "json").json == {"format": 1, "plans": []}


@pytest.mark.parametrize("network", sorted(NETWORKS))
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("weights", "model.pt"),
        ("path", "../../x"),
        ("pretrained", True),
        ("url", "x"),
        ("_target_", "os.system"),
        ("dropout", "0.5"),
    ],
)
def test_a_network_argument_that_loads_is_refused(
    network: str, name: str, value: object, tiny_study: Callable[..., Study]
) -> None:
    with pytest.raises(ValidationError):
        NETWORKS[network].model_validate({name: value})
    text = str(value).lower() if isinstance(value, bool) else f'"{value}"'
    with pytest.raises(StudyError, match=r"^network\."):
        tiny_study(f'network={{name="{network}", {name}={text}}}')


def test_no_argument_of_a_network_holds_free_text() -> None:
    """Only numbers, lists of numbers, and words of closed lists: nothing that names a file."""

    def kinds(schema: dict[str, Any]) -> set[str]:
        if "const" in schema or "enum" in schema:
            return {"word"}
        if schema["type"] == "array":
            items = schema.get("prefixItems", [schema.get("items")])
            return set().union(*(kinds(i) for i in items if i))
        return {schema["type"]}

    for table in NETWORKS.values():
        assert issubclass(table, BaseModel)
        for field in table.model_json_schema()["properties"].values():
            assert kinds(field) <= {"word", "integer", "number"}
