"""A study's identity, its way through a file, and what its cycles may grant."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from protocol.privacy import Privacy
from protocol.sections import Budget
from protocol.study import Study, StudyError, document, load, parse

STUDIES = Path(__file__).parents[2] / "simulations/studies"
TWO = [{"name": "normal", "definition": "d"}, {"name": "opacity", "definition": "d"}]


def minimal(**changes: Any) -> dict[str, Any]:
    return {"schema": 1, "name": "chest", "task": {"classes": [dict(c) for c in TWO]}} | changes


PRIVATE = minimal(training={"start": "warm"}, privacy={})
SECTIONS = ("training", "query", "budget", "audit", "reading", "aggregation", "stopping", "privacy")
CHANGES = [
    "name=other",
    "seed=1",
    "task.kind=multi-label",
    "task.image=[3, 28, 28]",
    "task.cost=[[0, 1], [2, 0]]",
    "task.specificity=0.8",
    "task.classes=[{name='opacity', definition='d'}, {name='normal', definition='d'}]",
    "task.classes=[{name='normal', definition='d'}, {name='opacity', definition='e'}]",
    "network.name=tiny-cnn",
    "network.dropout=0.1",
    "network.blocks=[1, 1, 1, 2]",
    "network.channels=[16, 32, 64, 64]",
    "network.groups=4",
    "training.augmentation.flip=0.5",
    "query.arguments.x=1",
    "query.cold_start_arguments.x=1",
    "budget.first=50",
    "budget.unit=minutes",
    "budget.arguments.x=1",
    "reading.arguments.x=1",
    "aggregation.arguments.x=1",
    "aggregation.quorum=0.5",
    "stopping.arguments.x=1",
    "privacy.delta=1e-5",
    "privacy.noise=2.0",
]


def plain_fields(table: BaseModel, path: str) -> list[str]:
    """An override for every plain key of a table, to another value that it takes."""
    found = []
    for key, value in table:
        if isinstance(value, BaseModel):
            found += plain_fields(value, f"{path}{key}.")
        elif isinstance(value, bool):
            found.append(f"{path}{key}={str(not value).lower()}")
        elif isinstance(value, int):
            found.append(f"{path}{key}={value + 1}")
        elif isinstance(value, float):
            found.append(f"{path}{key}={value * 0.9 if value else 0.25}")
        elif isinstance(value, str) and not path.startswith("task"):
            found.append(f"{path}{key}=")
    return found


def _others() -> list[str]:
    choices = {
        "training.optimizer": "sgd",
        "training.schedule": "constant",
        "training.loss": "focal",
        "training.balancing": "weights",
        "training.start": "warm",
        "privacy.clipping": "adaptive",
        "privacy.querying": "covered",
        "budget.unit": "minutes",
        "reading.show_ai": "after",
        "reading.trains": "after-ai",
        "stopping.gain": "end",
    }
    study = parse(PRIVATE)
    found = []
    for section in SECTIONS:
        for change in plain_fields(getattr(study, section), f"{section}."):
            key, _, value = change.partition("=")
            found.append(f"{key}={value or choices.get(key, 'another')}")
    return found


def allows(change: str) -> dict[str, Any]:
    """A study that the change makes another valid one."""
    if change.startswith("privacy."):
        return PRIVATE
    if change == "reading.trains=after-ai":
        return minimal(reading={"show_ai": "after"})
    return minimal(simulation={"readers": {"per_site": 9}})


@pytest.mark.parametrize("change", CHANGES + _others())
def test_identity_changes_with_every_key(change: str) -> None:
    before = allows(change)
    assert parse(before, [change]).identity != parse(before).identity


def test_every_key_is_in_the_list_above() -> None:
    keys = {c.partition("=")[0] for c in CHANGES + _others()}
    missing = []

    def walk(model: type[BaseModel], path: str) -> None:
        for name, field in model.model_fields.items():
            inner = field.annotation
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                walk(inner, f"{path}{name}.")
            elif name == "privacy":
                walk(Privacy, "privacy.")
            elif not any(k == path + name or k.startswith(f"{path}{name}.") for k in keys):
                missing.append(path + name)

    walk(Study, "")
    assert {m for m in missing if not m.startswith("simulation.")} == {"schema_"}


def test_identity_ignores_the_rehearsal_and_the_order_of_keys() -> None:
    study = parse(minimal())
    changes = ["simulation.sites=9", "simulation.split=site", "simulation.scanners=true"]
    changes += ["simulation.readers.error=0.3", "simulation.readers.per_site=5"]
    assert parse(minimal(), changes).identity == study.identity
    backwards = dict(reversed(list(document(study).items())))
    assert parse(backwards).identity == study.identity
    assert len(study.identity) == 64


def test_identity_of_a_study_is_frozen() -> None:
    """A hospital approves by this hash: a change of it needs a new `schema`.

    A submitted study says every key. A draft that leaves one out takes the default of the day.
    """
    golden = "7bf61cd73bb5a22c707bdcae140d025851f8b675fb40df50c49559ca71824507"
    written = document(parse(minimal(query={"strategy": "coreset"})))
    assert written["query"]["strategy"] == "coreset"
    assert parse(written).identity == golden
    assert document(parse(minimal()))["query"]["strategy"] == "ward"


VALUES = st.recursive(
    st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs", "Cc"])),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.slow
@given(
    seed=st.integers(0, 2**63 - 1),
    rate=st.floats(1e-12, 1e6),
    arguments=st.dictionaries(st.text("abc_", min_size=1), VALUES, max_size=3),
    name=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=60),
    cost=st.none() | st.tuples(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3)),
)
def test_a_study_survives_its_file(
    seed: int, rate: float, arguments: dict[str, Any], name: str, cost: tuple[float, float] | None
) -> None:
    classes = [{"name": name + "!", "definition": name}, {"name": "b", "definition": "d"}]
    task = {"classes": classes} | ({"cost": [[0, cost[0]], [cost[1], 0]]} if cost else {})
    if len(name) == 60:
        classes[0]["name"] = name
    study = parse(
        minimal(
            seed=seed,
            task=task,
            training={"learning_rate": rate},
            query={"arguments": arguments},
            simulation={"readers": {"error": [0.1, 0.2]}},
        )
    )
    again = parse(tomllib.loads(tomli_w.dumps(document(study))))
    assert again == study
    assert again.identity == study.identity


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.toml")), ids=lambda p: p.stem)
def test_committed_studies_survive_their_file(path: Path) -> None:
    study = load(path)
    assert parse(tomllib.loads(tomli_w.dumps(document(study)))) == study
    study.check_sites(study.simulation.sites)


def test_a_study_is_frozen() -> None:
    study = parse(minimal())
    for table, key in ((study, "seed"), (study.budget, "total"), (study.network, "dropout")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(table, key, 1)


BUDGETS = st.builds(
    lambda total, first, per_cycle: Budget(
        total=max(total, first or 0, per_cycle), first=first, per_cycle=per_cycle
    ),
    st.integers(1, 500),
    st.none() | st.integers(1, 80),
    st.integers(1, 80),
)


@pytest.mark.slow
@given(budget=BUDGETS, data=st.data())
def test_cycle_budgets_never_sum_above_the_total(budget: Budget, data: st.DataObject) -> None:
    study = parse(minimal(budget=budget.model_dump(exclude_none=True)))
    assert study.cycle_budget(0, 0) == (budget.first or budget.per_cycle)
    spent = 0
    for cycle in range(12):
        granted = study.cycle_budget(cycle, spent)
        assert 0 <= granted <= max(budget.per_cycle, budget.first or 0)
        spent += data.draw(st.integers(0, granted))
        assert spent <= budget.total


@pytest.mark.slow
@given(budget=BUDGETS)
def test_a_budget_that_is_spent_in_full_ends_exactly(budget: Budget) -> None:
    study = parse(minimal(budget=budget.model_dump(exclude_none=True)))
    spent, cycle = 0, 0
    while granted := study.cycle_budget(cycle, spent):
        spent, cycle = spent + granted, cycle + 1
    assert spent == budget.total
    assert study.cycle_budget(cycle, spent + 1) == 0  # a reading that had begun may overshoot


def test_a_frozen_study_may_ask_for_more_readers_than_a_rehearsal_has_by_itself() -> None:
    """Freezing takes [simulation] out, and its own number of readers with it."""
    settings = ["reading.readers_per_case=3", "simulation.readers.per_site=3"]
    content = document(parse(minimal(), settings))
    content.pop("simulation")
    assert parse(content).reading.readers_per_case == 3
    with pytest.raises(StudyError, match=r"at most simulation\.readers\.per_site = 1"):
        parse(minimal(), ["reading.readers_per_case=3", "simulation.readers.per_site=1"])
