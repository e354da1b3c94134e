"""NIfTI, tables of pictures, npz and datalists: what they hold is shown as it is meant."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from client.cases.cases import CasesError
from client.home import open_store
from client.patients import site_key
from client.site import Site
from client.sources.choosing import Wanted, source_of
from client.sources.decoder import Decoder
from client.sources.importing import Import, Tally
from client.sources.labels import UNANSWERED, UNUSED, Labels
from client.sources.source import SourceError

REAL = Path(__file__).resolve().parents[4] / "shared" / "data"
real = pytest.mark.skipif(not REAL.is_dir(), reason="the developers' data are not here")
Opened = Callable[[Path], Site]
Take = Callable[..., Tally]


@pytest.fixture
def take(home: Path, decoder: Decoder) -> Take:
    def one(where: Path, labels: Labels = Labels(), kind: str = "") -> Tally:  # noqa: B008
        store = open_store(home)
        wanted = Wanted(str(where), kind, frozenset(), labels, lambda files: None)
        tally = Import(store, site_key(home), decoder).run(source_of(wanted, decoder))
        store.close()
        return tally

    return one


@pytest.mark.slow
@pytest.mark.parametrize("codes", ["RAS", "LPS", "LAS", "PIR", "SRA"])
def test_a_volume_is_shown_alike_however_it_is_stored(
    codes: str, opened: Opened, home: Path, take: Take, tmp_path: Path
) -> None:
    body = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)  # to right, anterior, head
    image = nibabel.Nifti1Image(body, np.diag([1.0, 2.0, 3.0, 1.0]))
    wanted = nibabel.orientations.axcodes2ornt(tuple(codes))
    stored = image.as_reoriented(
        nibabel.orientations.ornt_transform(nibabel.io_orientation(image.affine), wanted)
    )
    (tmp_path / "n").mkdir()
    nibabel.save(stored, tmp_path / "n" / "sub-7_T1w.nii.gz")
    assert take(tmp_path / "n").taken == {"NIfTI": 1}
    volume = opened(home).images.volume(0)
    assert volume.slices.shape == (6, 5, 4)
    assert (volume.slices == body[::-1, ::-1].transpose(2, 1, 0)).all()
    assert volume.geometry.spacing == (3.0, 2.0, 1.0)
    assert volume.geometry.directions == ("R", "L", "A", "P")


@pytest.mark.slow
def test_subjects_of_bids_are_patients(home: Path, take: Take, tmp_path: Path) -> None:
    for name in ("sub-1/a.nii", "sub-1/b.nii", "sub-2/a.nii"):
        (tmp_path / "n" / name).parent.mkdir(parents=True, exist_ok=True)
        image = nibabel.Nifti1Image(np.ones((3, 3, 3), np.float32), np.eye(4))
        nibabel.save(image, tmp_path / "n" / name)
    tally = take(tmp_path / "n")
    assert len(tally.patients) == 2
    store = open_store(home)
    assert store.cases.fact("clustered") == "yes"
    store.close()


@pytest.mark.slow
@real
def test_real_nifti_files(opened: Opened, home: Path, take: Take) -> None:
    tally = take(REAL / "nifti")
    assert tally.taken == {"NIfTI": 6}
    assert sum(len(keys) for keys in tally.keys.values()) == 2  # a matrix, and an empty one
    images = opened(home).images
    assert images.take(np.arange(6), (1, 16, 16)).shape == (6, 1, 16, 16)
    assert all(images.volume(row).slices.ndim == 3 for row in range(6))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "p"
    folder.mkdir()
    Image.fromarray(np.full((20, 30), 7, np.uint8)).save(folder / "a.png")
    Image.fromarray(np.full((9, 9, 3), (255, 0, 0), np.uint8)).save(folder / "b.png")
    deep = (np.arange(64, dtype=np.uint16) * 1000).reshape(8, 8)
    Image.fromarray(deep).save(folder / "c.png")
    (folder / "d.jpg").write_bytes(b"no picture")
    return folder


@pytest.mark.slow
def test_a_table_of_pictures_of_any_size_and_depth(
    opened: Opened, home: Path, take: Take, pictures: Path
) -> None:
    (pictures / "list.csv").write_text(
        "path,patient_id,split,label\na.png,1,train,\nb.png,1,train,\n"
        "c.png,2,test,sick\nd.jpg,3,train,\n"
    )
    tally = take(pictures, Labels(("well", "sick")))
    assert tally.taken == {"image": 3}
    assert [len(keys) for keys in tally.keys.values()] == [1]
    site = opened(home)
    assert site.images.take(np.arange(3), (3, 8, 8))[:, :, 0, 0].tolist()[1] == [255, 0, 0]
    deep = site.images.volume(2).slices
    assert (deep.dtype.name, int(deep.max())) == ("uint16", 63000)
    ids, answers = site.store.cases.locked()
    assert (ids.tolist(), answers.tolist()) == ([3], [[0, 1]])


def test_a_test_case_without_a_known_answer_is_skipped(take: Take, pictures: Path) -> None:
    (pictures / "list.csv").write_text("path,split,label\na.png,test,odd\nb.png,val,sick\n")
    tally = take(pictures, Labels(("well", "sick")))
    assert tally.skipped == {UNANSWERED: 1, UNUSED: 1}


def test_a_path_out_of_the_folder_is_refused(take: Take, pictures: Path) -> None:
    (pictures / "list.csv").write_text("path\n../secret.png\n")
    with pytest.raises(CasesError, match="outside"):
        take(pictures)


@pytest.mark.slow
def test_a_datalist_of_monai(opened: Opened, home: Path, take: Take, pictures: Path) -> None:
    content = {
        "training": [{"image": "a.png", "label": 0, "patient_id": "x"}, "b.png", {"label": 1}],
        "test": [{"image": "c.png", "label": [0, 1], "patient_id": "y"}],
        "validation": ["../secret.png"],
    }
    (pictures / "list.json").write_text(json.dumps(content))
    tally = take(pictures / "list.json", Labels(("well", "sick")))
    assert tally.taken == {"image": 3}
    assert tally.skipped.total() == 2
    assert opened(home).store.cases.locked()[1].tolist() == [[0, 1]]


@pytest.mark.slow
def test_rows_of_an_npz(opened: Opened, home: Path, take: Take, tmp_path: Path) -> None:
    train = np.random.default_rng(1).integers(0, 255, (5, 8, 8), np.uint8)
    np.savez_compressed(
        tmp_path / "a.npz",
        train_images=train,
        train_labels=np.zeros((5, 1), np.uint8),
        train_patient=np.array([1, 1, 2, 2, 3]),
        test_images=train[:2],
        test_labels=np.array([[1], [0]], np.uint8),
        test_patient=np.array([8, 9]),
    )
    tally = take(tmp_path / "a.npz", Labels(("well", "sick")))
    assert (tally.taken.total(), len(tally.patients)) == (7, 5)
    assert take(tmp_path / "a.npz", Labels(("well", "sick"))).known == 7
    images = opened(home).images
    assert (images.take(np.arange(5), (1, 8, 8))[:, 0] == train).all()
    assert (images.take(np.array([4]), (3, 8, 8))[0] == train[4]).all()  # a study of another size


@pytest.mark.parametrize("name", ["gone", "a.txt", "a.npz"])
def test_what_is_no_source_is_refused_in_one_sentence(
    name: str, take: Take, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "a.npz").write_text("x")
    with pytest.raises(SourceError) as refused:
        take(tmp_path / name)
    assert str(tmp_path) not in str(refused.value)


@pytest.mark.parametrize(
    ("where", "words"),
    [("https://", "no address"), ("https://<a b>/", "no address"), ("https://<h>/", "no address"),
     ("ftp://<h>/", "begins with https"), ("empty", "is not mounted")],
)  # fmt: skip
def test_no_address_and_an_empty_mount(
    where: str, words: str, decoder: Decoder, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    place = str(tmp_path / where) if where == "empty" else where
    wanted = Wanted(place, "", frozenset(), Labels(), lambda _: None)
    with pytest.raises(SourceError, match=words):
        source_of(wanted, decoder)


@pytest.mark.slow
def test_labels_are_read_by_name_number_and_list() -> None:
    one, many = Labels(("a", "b", "c")), Labels(("a", "b", "c"), multi_label=True)
    assert one.answer("b") == one.answer(1) == one.answer([0, 1, 0]) == (0, 1, 0)
    assert many.answer("a|c") == many.answer([1, 0, 1]) == (1, 0, 1)
    assert many.answer("") == (0, 0, 0)
    assert one.answer("") == one.answer([1, 1, 0]) == one.answer("a|b") == one.answer(None) == ()
