"""The cases of one source: what is checked, what is taken, what the digest depends on."""

from dataclasses import replace

import numpy as np
import pytest

from client.cases import Cases, CasesError, open_cases
from client.cases.cases import admit
from protocol.sections import ClassName, Task

TASK = Task(classes=(ClassName(name="no", definition="d"), ClassName(name="yes", definition="d")))


@pytest.fixture
def four() -> Cases:
    return Cases(
        keys=("a", "b", "c", "d"),
        patients=("p", "p", "q", "r"),
        clustered=True,
        splits=("pool", "pool", "val", "test"),
        sites=("north", "north", "south", "south"),
        targets=np.eye(2, dtype=np.uint8)[[0, 1, 0, 1]],
        images=np.arange(4 * 2 * 3, dtype=np.uint8).reshape(4, 1, 2, 3),
    )


def test_take_keeps_every_field_on_the_same_case(four: Cases) -> None:
    taken = four.take([3, 1])
    assert taken.keys == ("d", "b")
    assert taken.patients == ("r", "p")
    assert taken.splits == ("test", "pool")
    assert taken.sites == ("south", "north")
    assert taken.targets is not None
    assert taken.targets.tolist() == [[0, 1], [0, 1]]
    assert np.array_equal(taken.images, four.images[[3, 1]])
    assert four.rows("pool").tolist() == [0, 1]
    assert len(four.take([])) == 0


def test_arrays_are_read_only(four: Cases) -> None:
    assert four.targets is not None
    for array in (four.images, four.targets):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_digest_is_of_content(four: Cases) -> None:
    assert replace(four, images=four.images.copy()).digest == four.digest
    assert four.take([0, 1, 2, 3]).digest == four.digest
    changed = four.images.copy()
    changed[3, 0, 1, 2] ^= 1
    others = [
        replace(four, images=changed),
        replace(four, keys=("a", "b", "c", "e")),
        replace(four, patients=("p", "p", "q", "s")),
        replace(four, splits=("pool", "pool", "val", "val")),
        replace(four, sites=None),
        four.without_truth(),
        four.take([1, 0, 2, 3]),
    ]
    assert len({c.digest for c in (four, *others)}) == len(others) + 1


def test_without_truth_takes_the_targets_alone(four: Cases) -> None:
    bare = four.without_truth()
    assert bare.targets is None
    assert bare.keys == four.keys


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"keys": ("a", "b", "c", "c")}, "1 case keys occur twice"),
        ({"patients": ("p", "p", "q")}, "3 patients for 4 cases"),
        ({"splits": ("pool",)}, "1 splits for 4 cases"),
        ({"splits": ("pool", "pool", "train", "test")}, "accepted is pool, val or test"),
        ({"sites": ("north",)}, "1 sites for 4 cases"),
        ({"sites": ("../x", "n", "n", "n")}, "a site's name is not plain"),
        ({"patients": ("p", "p", "q", "")}, "a case key or patient is empty"),
        ({"images": np.zeros((4, 2, 3), np.uint8)}, r"uint8 \(4, channels, height, width\)"),
        ({"images": np.zeros((4, 1, 2, 3), np.float32)}, "images are float32"),
        ({"targets": np.zeros((3, 2), np.uint8)}, r"uint8 \(4, classes\)"),
        ({"targets": np.full((4, 2), 2, np.uint8)}, "targets hold 2"),
    ],
)
def test_malformed_cases_are_refused(four: Cases, change: dict[str, object], sentence: str) -> None:
    with pytest.raises(CasesError, match=sentence):
        replace(four, **change)  # type: ignore[arg-type]  # malformed on purpose


def test_admit_refuses_an_empty_pool_and_a_patient_in_two_splits(four: Cases) -> None:
    assert admit(four, "f") is four
    with pytest.raises(CasesError, match="f: the pool is empty"):
        admit(four.take([2, 3]), "f")
    with pytest.raises(CasesError, match="f: 1 times a patient has cases in more than one split"):
        admit(replace(four, patients=("p", "p", "q", "p")), "f")


@pytest.mark.parametrize("source", ["nowhere.npz", "nowhere.csv", "cases.dcm", "fantom"])
def test_unknown_sources_are_refused(source: str) -> None:
    with pytest.raises(CasesError, match=source):
        open_cases(source, TASK, 0)


def test_a_folder_must_hold_one_csv(tmp_path: object) -> None:
    with pytest.raises(CasesError, match="0 CSV files in this folder; accepted is one"):
        open_cases(str(tmp_path), TASK, 0)
