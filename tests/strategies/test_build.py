"""Construction from a table: what is refused, and in which words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from strategies.aggregation import AGGREGATION
from strategies.budget import BUDGET, Hours
from strategies.build import build
from strategies.pool import Pool
from strategies.query import QUERY
from strategies.query.bald import Bald

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Row:
    """One of every type that a study file can give.

    Attributes:
        share, times, name, switch, mode, weights, pair, limit: see their types.
    """

    share: float
    times: int = 1
    name: str = "x"
    switch: bool = False
    mode: Literal["fast", "slow"] = "fast"
    weights: tuple[float, ...] = ()
    pair: tuple[int, str] = (1, "a")
    limit: int | None = None


TABLE: Mapping[str, Callable[..., Row]] = {"row": Row}


@pytest.mark.parametrize("name", sorted(QUERY))
def test_every_name_of_the_table_is_built_without_arguments(name: str) -> None:
    assert type(build(QUERY, name)) is QUERY[name]


def test_arguments_reach_the_strategy() -> None:
    assert build(QUERY, "bald", members=7) == Bald(members=7)


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole sentence is compared
        build(QUERY, "entropi")
    assert str(caught.value) == (
        "unknown query strategy 'entropi'; known: " + ", ".join(sorted(QUERY))
    )


def test_an_unknown_argument_is_refused_with_the_accepted_ones() -> None:
    with pytest.raises(
        ValueError,
        match=r"^query strategy 'bald' has no argument 'member'; "
        r"accepted: members \(a whole number\), of \(",
    ):
        build(QUERY, "bald", member=3)
    with pytest.raises(ValueError, match="accepted: none"):
        build(QUERY, "coreset", temperature=1.0)


@pytest.mark.parametrize("wrong", ["twenty", 20.0, True, None, [20]])
def test_an_argument_of_another_type_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"^argument 'members' .* accepted is a whole number$"):
        build(QUERY, "bald", members=wrong)


def test_a_value_that_the_strategy_refuses_is_refused() -> None:
    with pytest.raises(ValueError, match="'members' is 1; accepted is 2 or more"):
        build(QUERY, "bald", members=1)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("share", 1),
        ("share", 0.5),
        ("switch", True),
        ("mode", "slow"),
        ("weights", [1, 2.5]),
        ("weights", []),
        ("pair", [2, "b"]),
        ("limit", None),
        ("limit", 3),
    ],
)
def test_fitting_values_are_taken_and_lists_become_tuples(argument: str, value: object) -> None:
    row = build(TABLE, "row", **({"share": 0.1} | {argument: value}))  # type: ignore[arg-type]  # any key
    wanted = tuple(value) if isinstance(value, list) else value
    assert getattr(row, argument) == wanted


@pytest.mark.parametrize(
    ("argument", "value", "accepted"),
    [
        ("share", "much", "a finite number"),
        ("share", float("nan"), "a finite number"),
        ("share", True, "a finite number"),
        ("times", 1.0, "a whole number"),
        ("name", 3, "text"),
        ("switch", 1, "true or false"),
        ("mode", "brisk", "'fast' or 'slow'"),
        ("weights", [1, "a"], "a list of a finite number"),
        ("pair", [2], r"\[a whole number, text\]"),
        ("limit", "no", "a whole number or nothing"),
    ],
)
def test_values_that_do_not_fit_are_refused(argument: str, value: object, accepted: str) -> None:
    with pytest.raises(ValueError, match=f"^argument '{argument}' of .*accepted is {accepted}$"):
        build(TABLE, "row", **({"share": 0.1} | {argument: value}))  # type: ignore[arg-type]  # any key


@pytest.mark.parametrize("wrong", [3, ["site-01", 3.0], [["site-01"]], {"site-01": 3.0}])
def test_a_list_of_pairs_is_refused_with_an_example_that_is_taken(wrong: object) -> None:
    with pytest.raises(ValueError, match="'site_hours'") as refused:
        build(BUDGET, "hours", site_hours=wrong)
    said, _, example = str(refused.value).partition(", such as ")
    assert said.endswith("accepted is a list of [text, a finite number]")
    assert example == '[["site-01", 3.0]]'
    taken = build(BUDGET, "hours", site_hours=json.loads(example))
    assert taken == Hours(site_hours=(("site-01", 3.0),))


def test_a_missing_argument_is_named() -> None:
    with pytest.raises(ValueError, match="lacks its argument 'share'; accepted is a finite number"):
        build(TABLE, "row")


@pytest.fixture
def laboratory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A strategy outside the project; importing it leaves a mark."""
    (tmp_path / "my_lab_ideas.py").write_text(
        "from dataclasses import dataclass\n"
        "from pathlib import Path\n"
        "import numpy as np\n"
        "from strategies.pool import Needs\n"
        "Path(__file__).with_name('imported').touch()\n"
        "@dataclass(frozen=True, slots=True)\n"
        "class Novelty:\n"
        "    offset: int = 0\n"
        "    needs = Needs()\n"
        "    def select(self, pool, k, rng):\n"
        "        return np.arange(k) + self.offset\n"
        "def plain(): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return str(tmp_path)


def test_a_name_with_a_colon_is_imported_only_where_allowed(laboratory: str) -> None:
    name = "my_lab_ideas:Novelty"
    with pytest.raises(ValueError, match="which only a simulation may"):
        build(QUERY, name)
    assert not (Path(laboratory) / "imported").exists()
    novelty = build(QUERY, name, allow_import=True, offset=2)
    assert novelty.select(Pool(9), 3, np.random.default_rng(0)).tolist() == [2, 3, 4]
    with pytest.raises(ValueError, match="has no argument 'ofset'; accepted: offset"):
        build(QUERY, name, allow_import=True, ofset=2)


@pytest.mark.parametrize("name", ["my_lab_ideas:Nothing", "no_such_lab:X", ":X", "my_lab_ideas:"])
def test_a_name_that_cannot_be_imported_is_refused(laboratory: str, name: str) -> None:
    with pytest.raises(ValueError, match="cannot be imported"):
        build(QUERY, name, allow_import=True)


def test_a_module_that_python_does_not_find_may_be_in_this_folder(laboratory: str) -> None:
    (Path(laboratory) / "my_lab_torn.py").write_text("import no_such_package\n")
    hint = "accepted is module:Class, in this folder with PYTHONPATH=. before the command"
    for name, told in (("no_such.lab:X", True), ("no_such:X", True), ("my_lab_torn:X", False)):
        with pytest.raises(ValueError, match="cannot be imported") as refused:
            build(QUERY, name, allow_import=True)
        assert str(refused.value).endswith(hint) == told


@pytest.mark.slow
def test_a_module_in_the_folder_is_found_as_the_refusal_says(laboratory: str) -> None:
    script = (
        "from strategies.build import build; from strategies.query import QUERY; "
        "print(build(QUERY, 'my_lab_ideas:Novelty', allow_import=True))"
    )
    told = []
    for path in ("", "."):  # -P: a command does not look into the folder, a script's -c would
        env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (path, str(ROOT))))}
        command = [sys.executable, "-P", "-c", script]
        told.append(
            subprocess.run(command, cwd=laboratory, env=env, capture_output=True, text=True)
        )
    assert "in this folder with PYTHONPATH=." in told[0].stderr
    assert told[1].stdout == "Novelty(offset=0)\n"


def test_something_that_is_no_dataclass_is_refused(laboratory: str) -> None:
    with pytest.raises(ValueError, match="accepted is a dataclass"):
        build(QUERY, "my_lab_ideas:plain", allow_import=True)


def test_a_class_of_another_kind_is_refused_by_what_it_lacks(laboratory: str) -> None:
    with pytest.raises(ValueError, match="is no budget policy: it has no allocate; accepted is"):
        build(BUDGET, "my_lab_ideas:Novelty", allow_import=True)
    with pytest.raises(ValueError, match="no proximal and no least_sites and no step"):
        build(AGGREGATION, "my_lab_ideas:Novelty", allow_import=True)


def test_of_listed_packages_alone_is_imported(laboratory: str) -> None:
    for packages in ((), ("my_lab",), ("my_lab_ideas.novel",), ("subprocess_",)):
        with pytest.raises(ValueError, match="would be imported"):
            build(QUERY, "my_lab_ideas:Novelty", allow_import=packages)
    assert not (Path(laboratory) / "imported").exists()
    name = type(build(QUERY, "my_lab_ideas:Novelty", allow_import=("my_lab_ideas",))).__name__
    assert name == "Novelty"


def test_a_listed_package_does_not_lend_what_it_imported(laboratory: str) -> None:
    (Path(laboratory) / "my_lab_lender.py").write_text(
        "from strategies.query.bald import Bald as Borrowed\n"
    )
    with pytest.raises(ValueError, match="of another package; accepted is a class of its own"):
        build(QUERY, "my_lab_lender:Borrowed", allow_import=("my_lab_lender",))
