"""The study file: what is refused, in one sentence each, and overrides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from protocol.study import StudyError, load, parse

TWO = [{"name": "normal", "definition": "d"}, {"name": "opacity", "definition": "d"}]


def minimal(**changes: Any) -> dict[str, Any]:
    return {"schema": 1, "name": "chest", "task": {"classes": [dict(c) for c in TWO]}} | changes


def refusal(content: dict[str, Any], *overrides: str) -> str:
    with pytest.raises(StudyError) as refused:
        parse(content, overrides)
    return str(refused.value)


TABLE = "a table of texts, finite numbers, true, false, and lists and tables of these"
LIST = "a list of any length, each a number from 0 to 1"
SPLITS = "iid, dirichlet:ALPHA (label skew), quantity (unequal sizes) or site"

REFUSALS = {
    # unknown keys, at every level
    "colour=1": "colour = 1 is not a key of a study file; known here: aggregation, audit, budget",
    "budget.totl=9": "budget.totl = 9 is not a key of a study file; known here: arguments, explor",
    "network.growth=8": "network.growth = 8 is not a key of a study file; known here: blocks, chan",
    "training.augmentation.flap=0.1": "training.augmentation.flap = 0.1 is not a key of a study "
    "file; known here: brightness, contrast, flip, noise, rotate, shift, zoom",
    "simulation.readers.errors=0": "simulation.readers.errors = 0 is not a key of a study file; "
    "known here: bias, biased, difficulty, error, hours_per_day",
    "a.b.c=true": "a = {b = {c = true}} is not a key of a study file; known here: aggregation",
    # wrong types
    "schema=2": "schema = 2: accepted is 1",
    "schema=true": "schema = true: accepted is 1",
    "schema=1.0": "schema = 1.0: accepted is 1",
    "name=7": "name = 7: accepted is lower-case letters, digits and hyphens",
    "name=Chest": "name = 'Chest': accepted is lower-case letters, digits and hyphens",
    "seed=1.0": "seed = 1.0: accepted is a whole number of at least 0 and below",
    "task=3": "task = 3: accepted is a table with the keys classes, cost, image, kind, specificity",
    "task.kind=both": "task.kind = 'both': accepted is 'single-label' or 'multi-label'",
    "budget.total=true": "budget.total = true: accepted is a whole number of at least 1",
    "budget.total='9'": "budget.total = '9': accepted is a whole number of at least 1",
    "budget.first=1.5": "budget.first = 1.5: accepted is a whole number of at least 1",
    "budget.floor=[1]": "budget.floor = [1]: accepted is a whole number of at least 0",
    "query.cost_weighted=1": "query.cost_weighted = 1: accepted is true or false",
    "query.strategy=''": "query.strategy = '': accepted is text that is not empty",
    "query.strategy=2026-01-31": "query.strategy = 2026-01-31: accepted is text that is not empty",
    "query.arguments=3": f"query.arguments = 3: accepted is {TABLE}",
    "query.arguments.day=2026-01-31": "query.arguments = {day = 2026-01-31}: accepted is a table",
    "query.arguments.x=[{y=nan}]": f"query.arguments = {{x = [{{y = nan}}]}}: accepted is {TABLE}",
    "training.learning_rate=true": "training.learning_rate = true: accepted is a finite number "
    "above 0",
    # numbers that are out of range, or none
    "training.learning_rate=nan": "training.learning_rate = nan: accepted is a finite number above "
    "0",
    "training.learning_rate=inf": "training.learning_rate = inf: accepted is a finite number above "
    "0",
    "training.focal_gamma=inf": "training.focal_gamma = inf: accepted is a finite number of at "
    "least 0",
    "training.momentum=1": "training.momentum = 1: accepted is a finite number of at least 0 and "
    "below 1",
    "training.batch_size=0": "training.batch_size = 0: accepted is a whole number of at least 1",
    "budget.seconds=-inf": "budget.seconds = -inf: accepted is a finite number above 0",
    "budget.exploration=1.5": "budget.exploration = 1.5: accepted is a number from 0 to 1",
    "aggregation.quorum=0": "aggregation.quorum = 0: accepted is a finite number above 0 "
    "and of at most 1",
    "seed=-1": "seed = -1: accepted is a whole number of at least 0 and below",
    "reading.readers_per_case=10": "reading.readers_per_case = 10: accepted is a whole number from "
    "1 to 9",
    "simulation.split=sites": f"simulation.split = 'sites': accepted is {SPLITS}",
    "simulation.split=dirichlet:": f"simulation.split = 'dirichlet:': accepted is {SPLITS}",
    "simulation.split=dirichlet:1.2.3": "simulation.split = 'dirichlet:1.2.3': accepted is iid",
    # lists, and lists of lists and of tables
    "task.image=[1, 28]": "task.image = [1, 28]: accepted is a list of 3, each a whole number",
    "task.image=[1, 28, 28.5]": "task.image.2 = 28.5: accepted is a whole number",
    "task.image=[2, 28, 28]": "task.image = [2, 28, 28]: accepted is [1 or 3, height, width of",
    "task.image=[1, 28, 7]": "task.image = [1, 28, 7]: accepted is [1 or 3, height, width of",
    "task.classes=[]": "task.classes = []: accepted is a list of 1 to 40, each a table with",
    "task.classes=['a', 'b']": "task.classes.0 = 'a': accepted is a table with the keys",
    "task.classes=[{name='a'}]": "task.classes.0.definition is missing from the study file: "
    "accepted is text of 1 to 300 characters",
    "task.classes=[{name='', definition='d'}]": "task.classes.0.name = '': accepted is text",
    "task.classes=[{name='a', definition='d', x=1}]": "task.classes.0.x = 1 is not a key of a "
    "study file; known here: definition, name",
    "simulation.readers.error=x": "simulation.readers.error = 'x': accepted is a number from 0 "
    f"to 1, or {LIST}",
    "simulation.readers.error=1.5": "simulation.readers.error = 1.5: accepted is a number from 0 "
    f"to 1, or {LIST}",
    "simulation.readers.error=[0.1, 'x']": "simulation.readers.error = [0.1, 'x']: accepted is a "
    f"number from 0 to 1, or {LIST}",
    "simulation.readers.error=[0.1, nan]": "simulation.readers.error = [0.1, nan]: accepted is a "
    f"number from 0 to 1, or {LIST}",
    "simulation.silent={site-02=1.5}": "simulation.silent.site-02 = 1.5: accepted is a whole "
    "number of at least 0",
    "simulation.silent={site-02=-1}": "simulation.silent.site-02 = -1: accepted is a whole number",
    "simulation.silent=2": "simulation.silent = 2: accepted is a table of any length, each a whole",
    # the network
    "network=resnet": "network = 'resnet': accepted is a table whose name is 'densenet', "
    "'efficientnet', 'mlp', 'resnet' or 'tiny-cnn'",
    "network.name=vgg": "network.name = 'vgg': accepted is 'densenet', 'efficientnet', 'mlp', "
    "'resnet' or 'tiny-cnn'",
    "network.name=['resnet']": "network.name = ['resnet']: accepted is 'densenet', 'efficientnet'",
    "network.blocks=[1, 1]": "network.blocks = [1, 1]: accepted is a list of 4, each a whole "
    "number of at least 1",
    "network.blocks=[1, 1, 1, 0]": "network.blocks.3 = 0: accepted is a whole number of at least 1",
    "network.groups=5": "network.channels = [16, 32, 64, 128]: accepted is multiples of "
    "network.groups = 5",
    "network={name='densenet', blocks=[1]}": "network.blocks = [1]: accepted is a list of 2 to 4",
    "network={name='densenet', growth=12}": "network.growth = 12: accepted is a whole number "
    "divisible by 8 and of at least 8",
    # each right alone, impossible together
    "task.cost=[[0, 1], [1]]": "task.cost = [[0.0, 1.0], [1.0]]: accepted is 2 rows of 2 numbers",
    "task.cost=[[0, 1, 1], [1, 0, 1], [1, 1, 0]]": "accepted is 2 rows of 2 numbers",
    "task.cost=[0, 1]": "task.cost.0 = 0: accepted is a list of any length, each a finite number",
    "task.cost=[[0, nan], [1, 0]]": "task.cost.0.1 = nan: accepted is a finite number",
    "task.cost=[[1, 1], [1, 0]]": "accepted is no negative cost, and errors dearer than truth",
    "task.cost=[[0, -1], [1, 0]]": "accepted is no negative cost, and errors dearer than truth",
    "training.min_steps=61": "training.min_steps = 61: accepted is at most max_steps = 60",
    "budget.total=47": "budget.total = 47: accepted is at least one cycle's budget, 48",
    "budget.first=265": "budget.total = 264: accepted is at least one cycle's budget, 265",
    "simulation.readers.error=[0.1, 0.1, 0.1]": "simulation.readers.error = [0.1, 0.1, 0.1]: "
    "accepted is one number from 0 to 1, or a list of 2, one for each class",
    "simulation.readers={unsure=0.6, unreadable=0.6}": "simulation.readers.unsure = 0.6: accepted "
    "is a share that with simulation.readers.unreadable = 0.6 is at most 1",
    "simulation.readers.error=[]": "simulation.readers.error = []: accepted is one number from 0",
}


@pytest.mark.parametrize("override", REFUSALS)
def test_a_refusal_names_key_value_and_what_is_accepted(override: str) -> None:
    said = refusal(minimal(), override)
    assert REFUSALS[override] in said
    assert "\n" not in said
    assert len(said) < 400


@pytest.mark.parametrize("key", ["schema", "name", "task"])
def test_a_missing_key_is_named(key: str) -> None:
    content = minimal()
    del content[key]
    assert refusal(content).startswith(f"{key} is missing from the study file: accepted is ")


def test_class_names_once_and_two_of_them() -> None:
    twice = minimal(task={"classes": [TWO[0], TWO[0]]})
    assert refusal(twice) == "task.classes = 'normal': accepted is every class name once"
    alone = minimal(task={"classes": [TWO[0]]})
    assert "accepted is at least two classes in a single-label task" in refusal(alone)
    several = parse(minimal(task={"kind": "multi-label", "classes": [TWO[0]]}))
    assert several.task.costs == ((0.0, 1.0), (1.0, 0.0))


def test_a_multi_label_cost_matrix_is_absent_and_present() -> None:
    three = [{"name": n, "definition": "d"} for n in "abc"]
    task = {"kind": "multi-label", "classes": three, "cost": [[0, 1], [5, 0]]}
    assert parse(minimal(task=task)).task.costs == ((0.0, 1.0), (5.0, 0.0))
    wide = task | {"cost": [[0, 1, 1], [1, 0, 1], [1, 1, 0]]}
    assert "accepted is 2 rows of 2 numbers" in refusal(minimal(task=wide))


def test_long_values_are_shortened() -> None:
    said = refusal(minimal(name="x" * 500))
    assert len(said) < 200
    assert "xxx...: accepted is lower-case" in said


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"schema = 1\nname = ", "not a TOML file"),
        (b"schema = 1\nschema = 1", "not a TOML file"),
        (b'schema = 1\nname = "\xff\xfe"', "not a TOML file"),
        (b"", "schema is missing from the study file"),
    ],
)
def test_files_that_are_no_study(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "study.toml"
    path.write_bytes(content)
    with pytest.raises(StudyError, match=words):
        load(path)


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"none\.toml: cannot be read \(No such file"):
        load(tmp_path / "none.toml")
    with pytest.raises(StudyError, match=r"cannot be read \(Is a directory\)"):
        load(tmp_path)


def test_a_budget_must_reach_every_site() -> None:
    study = parse(minimal(budget={"total": 100, "first": 8, "per_cycle": 9, "floor": 2}))
    study.check_sites(4)
    with pytest.raises(StudyError, match=r"budget\.first = 8: accepted is at least 10, 2 for each"):
        study.check_sites(5)
    bare = parse(minimal(budget={"total": 10, "per_cycle": 3, "floor": 0}))
    bare.check_sites(3)
    with pytest.raises(StudyError, match=r"budget\.per_cycle = 3: accepted is at least 4, 1 for"):
        bare.check_sites(4)


def test_overrides_are_typed_and_reach_missing_tables() -> None:
    study = parse(
        minimal(),
        [
            "budget.total = 300",
            " training . learning_rate = 1",
            "query.strategy=my_lab.ideas:Novelty",
            "network.name=tiny-cnn",
            "simulation.split=dirichlet:.5",
            "simulation.readers.error=[0.1, 0.2]",
            "query.arguments.deep.depth=2",
            "training.start='warm'",
            "budget.total=301",
        ],
    )
    assert study.budget.total == 301  # the last one counts
    assert study.training.learning_rate == 1.0
    assert study.query.strategy == "my_lab.ideas:Novelty"
    assert study.network.name == "tiny-cnn"
    assert study.simulation.split == "dirichlet:.5"
    assert study.simulation.readers.error == (0.1, 0.2)
    assert study.query.arguments == {"deep": {"depth": 2}}
    assert study.training.start == "warm"


def test_overrides_leave_the_document_alone() -> None:
    content = minimal(budget={"total": 100})
    parse(content, ["budget.total=90", "query.strategy=random"])
    assert content == minimal(budget={"total": 100})


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("budget.total", "accepted is key=value, such as budget.total=240"),
        ("=3", "accepted is key=value"),
        ("budget..total=3", "accepted is key=value"),
        ("", "accepted is key=value"),
        ("budget.total=", "accepted after = is a TOML value or a bare word"),
        ("task.image=[1, 28", "accepted after = is a TOML value or a bare word"),
        ("name='chest", "accepted after = is a TOML value or a bare word"),
        ("seed=1\nname='other'", "accepted after = is a TOML value or a bare word"),
        ("task.classes.0.name=a", "task.classes is not a table"),
        ("name.first=a", "name is not a table"),
    ],
)
def test_malformed_overrides(override: str, words: str) -> None:
    said = refusal(minimal(), override)
    assert said.startswith(f"--set {override!r}: ")
    assert words in said
