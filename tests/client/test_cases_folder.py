"""Cases from a CSV beside images, and every kind of bad one."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from client.cases import Cases, CasesError, open_cases
from protocol.sections import ClassName, Task


def task(channels: int = 1, multi: bool = False, side: int = 8) -> Task:
    names = tuple(ClassName(name=n, definition="d") for n in ("normal", "effusion", "nodule"))
    return Task(
        kind="multi-label" if multi else "single-label", image=(channels, side, side), classes=names
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six gray 8 x 8 PNG files, number i full of 40 * i."""
    (tmp_path / "images").mkdir()
    for i in range(6):
        Image.new("L", (8, 8), 40 * i).save(tmp_path / "images" / f"{i}.png")
    return tmp_path


def load(folder: Path, text: str, its_task: Task | None = None) -> Cases:
    (folder / "cases.csv").write_text(text, encoding="utf-8")
    return open_cases(str(folder), its_task or task(), 0)


FULL = """case_id,path,patient_id,split,label,site
a,images/0.png,p1,pool,normal,north
b,images/1.png,p1,train,1,north
c,images/2.png,p2,val,nodule,south
d,images/3.png,p3,test,effusion,south
"""


def test_all_columns(folder: Path) -> None:
    cases = load(folder, FULL)
    assert cases.keys == ("a", "b", "c", "d")
    assert cases.patients == ("p1", "p1", "p2", "p3")
    assert cases.clustered
    assert cases.splits == ("pool", "pool", "val", "test")
    assert cases.sites == ("north", "north", "south", "south")
    assert cases.targets is not None
    assert cases.targets.argmax(axis=1).tolist() == [0, 1, 2, 1]
    assert cases.images[:, 0, 3, 3].tolist() == [0, 40, 80, 120]


def test_path_alone_is_enough(folder: Path) -> None:
    cases = load(folder, "\ufeffpath\nimages/0.png\nimages/1.png\n\n")
    assert cases.keys == cases.patients == ("images/0.png", "images/1.png")
    assert not cases.clustered
    assert cases.splits == ("pool", "pool")
    assert cases.targets is None
    assert cases.sites is None


def test_several_labels_are_separated_by_bars(folder: Path) -> None:
    text = "path,label\nimages/0.png,effusion|nodule\nimages/1.png,\nimages/2.png, 0 | nodule\n"
    cases = load(folder, text, task(multi=True))
    assert cases.targets is not None
    assert cases.targets.tolist() == [[0, 1, 1], [0, 0, 0], [1, 0, 1]]
    with pytest.raises(CasesError, match="row 2 has an unknown label"):
        load(folder, text)


def test_an_empty_label_column_is_no_label(folder: Path) -> None:
    assert load(folder, "path,label\nimages/0.png,\nimages/1.png,\n").targets is None


def test_images_take_the_studys_channels(folder: Path) -> None:
    Image.new("RGB", (8, 8), (255, 0, 0)).save(folder / "red.png")
    Image.new("RGBA", (8, 8), (0, 0, 255, 9)).save(folder / "blue.png")
    text = "path\nimages/2.png\nred.png\nblue.png\n"
    colour = load(folder, text, task(channels=3))
    assert colour.images[:, :, 0, 0].tolist() == [[80, 80, 80], [255, 0, 0], [0, 0, 255]]
    gray = load(folder, text)
    assert gray.images[:, 0, 0, 0].tolist() == [80, 76, 29]  # ITU-R 601 luminance


def test_a_jpeg_is_turned_upright(folder: Path) -> None:
    image = Image.fromarray(np.repeat(np.array([[0, 255]], np.uint8), 4, axis=1).repeat(8, axis=0))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown a quarter turn clockwise
    image.save(folder / "turned.jpg", exif=exif, quality=95)
    shown = load(folder, "path\nturned.jpg\n").images[0, 0]
    assert (shown[:3] < 60).all()
    assert (shown[5:] > 195).all()


def test_images_of_one_other_size_are_resized(folder: Path) -> None:
    for i in range(2):
        array = np.zeros((16, 24), np.uint8)
        array[:, 12 * i : 12 * i + 12] = 200
        Image.fromarray(array).save(folder / f"wide{i}.png")
    cases = load(folder, "path\nwide0.png\nwide1.png\n")
    assert cases.images.shape == (2, 1, 8, 8)
    assert cases.images[0, 0, :, :2].min() >= 195
    assert cases.images[0, 0, :, 6:].max() <= 5
    assert cases.images[1, 0, :, 6:].min() >= 195


def test_images_of_different_sizes_are_refused(folder: Path) -> None:
    Image.new("L", (16, 24)).save(folder / "tall.png")
    with pytest.raises(CasesError, match="row 3 is 24 x 16, the first image is 8 x 8"):
        load(folder, "path\nimages/0.png\ntall.png\n")


BAD = {
    "no path": ("case_id,label\na,normal\n", "the column path is missing"),
    "misspelt column": ("path,patient\nimages/0.png,secret\n", "column 2 is unknown"),
    "no header": ("secret,images/0.png\n", "column 1 is unknown"),
    "column twice": (
        "path,path\nimages/0.png,images/1.png\n",
        "column 2 is unknown or there twice",
    ),
    "empty file": ("", "the column path is missing"),
    "no rows": ("path,label\n", "the pool is empty"),
    "no pool": ("path,split\nimages/0.png,test\n", "the pool is empty"),
    "short row": ("path,patient_id\nimages/0.png\n", "row 2 has 1 cells; accepted is 2"),
    "case twice": (
        "case_id,path\nsecret,images/0.png\nx,images/1.png\nsecret,images/2.png\n",
        "rows 2 and 4 have the same case_id",
    ),
    "path twice": (
        "case_id,path\na,images/0.png\nb,images/../images/0.png\n",
        "rows 2 and 3 have the same path",
    ),
    "no patient": (
        "path,patient_id\nimages/0.png,secret\nimages/1.png,\n",
        "row 3 has no patient_id",
    ),
    "no such file": ("path\nimages/secret.png\n", "row 2 is no readable image"),
    "folder as image": ("path\nimages\n", "row 2 is no readable image"),
    "outside": ("path\n../secret.png\n", "row 2 has a path outside the CSV's folder"),
    "absolute": ("path\n/etc/secret.png\n", "row 2 has a path outside the CSV's folder"),
    "no path in a row": (
        "path,label\n,normal\n",
        "row 2 has a path outside the CSV's folder or none",
    ),
    "unknown split": ("path,split\nimages/0.png,secret\n", "row 2 has an unknown split"),
    "unknown label": ("path,label\nimages/0.png,secret\n", "row 2 has an unknown label"),
    "label out of range": ("path,label\nimages/0.png,3\n", "accepted is one of normal, effusion"),
    "label missing": ("path,label\nimages/0.png,1\nimages/1.png,\n", "row 3 has an unknown label"),
    "patient in two splits": (
        "path,patient_id,split\nimages/0.png,secret,pool\nimages/1.png,secret,test\n",
        "a patient has cases in more than one split",
    ),
    "open quote": ('path\n"images/0.png\n', "not a CSV file"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_csv_is_refused_in_one_sentence_without_ids(folder: Path, name: str) -> None:
    text, sentence = BAD[name]
    with pytest.raises(CasesError, match=f"^cases.csv: .*{sentence}") as caught:
        load(folder, text)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_link_out_of_the_folder_is_refused(folder: Path) -> None:
    inner = folder / "inner"
    inner.mkdir()
    (inner / "link.png").symlink_to(folder / "images" / "0.png")
    (inner / "cases.csv").write_text("path\nlink.png\n")
    with pytest.raises(CasesError, match="row 2 has a path outside"):
        open_cases(str(inner / "cases.csv"), task(), 0)


def test_unreadable_images_are_refused(folder: Path) -> None:
    whole = (folder / "images" / "0.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "text.png").write_text("no image")
    Image.new("L", (8, 8)).save(folder / "other.png", format="BMP")
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(folder / "deep.png")
    for name, sentence in {
        "cut.png": "is no readable image",
        "text.png": "is no readable image",
        "other.png": "is no readable image",
        "deep.png": "has more than 8 bits per channel",
    }.items():
        with pytest.raises(CasesError, match=f"row 3 {sentence}"):
            load(folder, f"path\nimages/1.png\n{name}\n")


def test_a_csv_that_is_not_utf_8_is_refused(folder: Path) -> None:
    (folder / "cases.csv").write_bytes(b"path\n\xff\xfe\n")
    with pytest.raises(CasesError, match="not a CSV file in UTF-8"):
        open_cases(str(folder / "cases.csv"), task(), 0)
