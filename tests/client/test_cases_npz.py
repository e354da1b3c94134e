"""Cases from npz files: the real ones, and every kind of bad one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.cases import CasesError, open_cases
from client.cases.npz import load_npz
from protocol.sections import ClassName, Task

DATA = Path(__file__).parents[2] / "../shared/data"


def task(classes: int = 2, image: tuple[int, int, int] = (1, 8, 8), multi: bool = False) -> Task:
    names = tuple(ClassName(name=f"c{i}", definition="d") for i in range(classes))
    return Task(kind="multi-label" if multi else "single-label", image=image, classes=names)


def content(n: int = 6, classes: int = 2) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    made: dict[str, Any] = {}
    for split in ("train", "val", "test"):
        made[f"{split}_images"] = rng.integers(0, 256, (n, 8, 8), dtype=np.uint8)
        made[f"{split}_labels"] = (np.arange(n) % classes)[:, None].astype(np.uint8)
    return made


def write(path: Path, made: dict[str, Any]) -> Path:
    np.savez(path, **made)
    return path


def test_gray_file_becomes_cases(tmp_path: Path) -> None:
    made = content()
    cases = load_npz(write(tmp_path / "a.npz", made), task())
    assert cases.images.shape == (18, 1, 8, 8)
    assert cases.splits == ("pool",) * 6 + ("val",) * 6 + ("test",) * 6
    assert cases.targets is not None
    assert cases.targets[:2].tolist() == [[1, 0], [0, 1]]
    assert np.array_equal(cases.images[6:12, 0], made["val_images"])
    assert not cases.clustered
    assert cases.patients == cases.keys
    assert cases.sites is None


def test_digest_does_not_depend_on_the_file(tmp_path: Path) -> None:
    made = content()
    a = load_npz(write(tmp_path / "a.npz", made), task())
    np.savez_compressed(tmp_path / "b.npz", **dict(reversed(made.items())))
    assert load_npz(tmp_path / "b.npz", task()).digest == a.digest
    made["train_images"][0, 0, 0] ^= 1
    assert load_npz(write(tmp_path / "c.npz", made), task()).digest != a.digest


def test_colour_channels_move_first(tmp_path: Path) -> None:
    made = content()
    for split in ("train", "val", "test"):
        made[f"{split}_images"] = np.stack([made[f"{split}_images"] // k for k in (1, 2, 3)], -1)
    cases = load_npz(write(tmp_path / "a.npz", made), task(image=(3, 8, 8)))
    assert np.array_equal(cases.images[0, 2], made["train_images"][0, :, :, 2])
    with pytest.raises(CasesError, match="in colour; accepted is gray"):
        load_npz(tmp_path / "a.npz", task())


def test_gray_serves_three_channels(tmp_path: Path) -> None:
    cases = load_npz(write(tmp_path / "a.npz", content()), task(image=(3, 8, 8)))
    assert cases.images.shape == (18, 3, 8, 8)
    assert np.array_equal(cases.images[:, 0], cases.images[:, 2])


def test_multi_label(tmp_path: Path) -> None:
    made = content()
    for split in ("train", "val", "test"):
        made[f"{split}_labels"] = np.tile(np.array([[0, 1, 1], [0, 0, 0]]), (3, 1))
    cases = load_npz(write(tmp_path / "a.npz", made), task(3, multi=True))
    assert cases.targets is not None
    assert cases.targets[:2].tolist() == [[0, 1, 1], [0, 0, 0]]


def test_patients_groups_and_sites(tmp_path: Path) -> None:
    made = content()
    for i, split in enumerate(("train", "val", "test")):
        made[f"{split}_image_id"] = np.arange(6) + 10 * i
        made[f"{split}_site"] = np.array(["north", "south"] * 3)
    cases = load_npz(write(tmp_path / "a.npz", made), task())
    assert cases.clustered
    assert cases.patients[5:8] == ("5", "10", "11")
    assert cases.sites is not None
    assert cases.sites[:2] == ("north", "south")
    for i, split in enumerate(("train", "val", "test")):
        made[f"{split}_patient"] = np.arange(6) // 2 + 10 * i
    cases = load_npz(write(tmp_path / "b.npz", made), task())
    assert cases.patients[:3] == ("0", "0", "1")


def _drop(key: str) -> Callable[[dict[str, Any]], None]:
    return lambda made: made.pop(key)


def _set(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda made: made.update({key: value})


BAD: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "missing images": (_drop("test_images"), "test_images is missing"),
    "missing labels": (_drop("train_labels"), "train_labels is missing"),
    "object array": (
        _set("train_labels", np.array([[object()]] * 6)),
        "train_labels holds Python objects",
    ),
    "float images": (_set("train_images", np.zeros((6, 8, 8))), "train_images is float64"),
    "float labels": (_set("val_labels", np.zeros((6, 1))), "val_labels is float64"),
    "other size": (
        _set("train_images", np.zeros((6, 16, 16), np.uint8)),
        "train_images are 16 x 16; accepted is the study's size, 8 x 8",
    ),
    "splits of different sizes": (
        _set("test_images", np.zeros((6, 8, 9), np.uint8)),
        "test_images are 8 x 9; accepted is the study's size, 8 x 8",
    ),
    "four channels": (_set("train_images", np.zeros((6, 8, 8, 4), np.uint8)), "has shape"),
    "flat images": (_set("train_images", np.zeros((6, 64), np.uint8)), "has shape"),
    "label too high": (
        _set("train_labels", np.array([[0], [1], [2], [0], [0], [0]])),
        "train_labels holds 2; accepted is 0 to 1 with 2 classes",
    ),
    "label below 0": (_set("test_labels", np.full((6, 1), -1)), "test_labels holds -1"),
    "wide labels": (_set("train_labels", np.zeros((6, 2), np.uint8)), r"accepted is \(n, 1\)"),
    "labels too few": (_set("train_labels", np.zeros((5, 1), np.uint8)), "for 6 images"),
    "scalar label": (_set("train_labels", np.uint8(1)), "for 6 images"),
    "patients of one split": (_set("train_patient", np.arange(6)), "val_patient is missing"),
    "no case": (
        lambda made: made.update(
            train_images=np.zeros((0, 8, 8), np.uint8), train_labels=np.zeros((0, 1), np.uint8)
        ),
        "the pool is empty",
    ),
    "patient in two splits": (
        lambda made: made.update({f"{s}_patient": np.arange(6) for s in ("train", "val", "test")}),
        "a patient has cases in more than one split",
    ),
    "patients too few": (
        lambda made: made.update({f"{s}_patient": np.arange(5) for s in ("train", "val", "test")}),
        r"train_patient is int64 \(5,\)",
    ),
    "patient without a name": (
        lambda made: made.update(
            {f"{s}_patient": np.array([""] * 6) for s in ("train", "val", "test")}
        ),
        "patient is empty for a case",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_content_is_refused_in_one_sentence(tmp_path: Path, name: str) -> None:
    made = content()
    change, sentence = BAD[name]
    change(made)
    with pytest.raises(CasesError, match=f"^bad.npz: .*{sentence}") as caught:
        load_npz(write(tmp_path / "bad.npz", made), task())
    assert "\n" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_a_label_that_is_no_0_or_1_is_refused_in_a_multi_label_task(tmp_path: Path) -> None:
    made = content()
    made["train_labels"] = np.full((6, 3), 2)
    with pytest.raises(CasesError, match="train_labels holds 2; accepted is 0 to 1"):
        load_npz(write(tmp_path / "a.npz", made), task(3, multi=True))


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_truncated_file_is_refused(tmp_path: Path, kept: float) -> None:
    path = write(tmp_path / "a.npz", content())
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(CasesError, match=r"a\.npz: truncated or not an npz file"):
        load_npz(path, task())


def test_damaged_member_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.npz", content())
    data = bytearray(path.read_bytes())
    data[200] ^= 255  # inside the pixels of train_images: the checksum no longer fits
    path.write_bytes(data)
    with pytest.raises(CasesError, match=r"a\.npz: "):
        load_npz(path, task())


def test_plain_npy_and_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(CasesError, match="not an npz file"):
        load_npz(path, task())
    path.write_text("case_id,path\n")
    with pytest.raises(CasesError, match="not an npz file"):
        load_npz(path, task())


REAL = {
    "cls_pneumoniamnist_28": (task(2, (1, 28, 28)), (4708, 524, 624), None),
    "cls_breastmnist_28": (task(2, (1, 28, 28)), (546, 78, 156), None),
    "cls_bccd_bloodcells_32": (task(3, (3, 32, 32)), (1329, 204, 400), 255 + 36 + 73),
    "cls_vesselpatch_2reader_chase_32": (task(2, (3, 32, 32)), (1600, 200, 1000), 8 + 1 + 5),
}


@pytest.mark.parametrize("name", REAL)
def test_real_files_load(name: str) -> None:
    path = DATA / f"{name}.npz"
    if not path.is_file():
        pytest.skip(f"{path.name} is not in shared/data")
    its_task, counts, patients = REAL[name]
    cases = open_cases(str(path), its_task, 0)
    assert tuple(len(cases.rows(s)) for s in ("pool", "val", "test")) == counts
    assert cases.images.shape[1:] == its_task.image
    assert cases.targets is not None
    assert (cases.targets.sum(axis=1) == 1).all()
    assert cases.targets.any(axis=0).all()
    assert cases.clustered == (patients is not None)
    assert len(set(cases.patients)) == (patients or len(cases))
