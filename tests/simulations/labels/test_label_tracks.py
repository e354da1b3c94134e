from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from client.cases.cases import Cases
from protocol.seeds import Purpose, generator
from simulations.benchmarks.labels.data import LEAST, RARE, as_images, imputed
from simulations.benchmarks.labels.recipe import CELLS, cell_of
from simulations.benchmarks.labels.tracks import (
    TRACKS,
    NoData,
    Scored,
    check_seed,
    track_of,
)
from simulations.hospitals import rows_of


def cases_of(name: str, seed: int, scored_on: Scored = "val") -> Cases:
    try:
        return TRACKS[name].cases(seed, scored_on)
    except NoData as absent:
        pytest.skip(str(absent))


@pytest.mark.parametrize(("seed", "split"), [(0, "test"), (99, "test"), (120, "test"), (-1, "val")])
def test_a_seed_for_development_never_sees_the_test_split(seed: int, split: Scored) -> None:
    with pytest.raises(ValueError, match="accepted are"):
        check_seed(seed, split)
    with pytest.raises(ValueError, match="accepted are"):
        TRACKS["A"].cases(seed, split)  # before any file is opened


def test_a_confirming_seed_never_sees_the_validation_split() -> None:
    with pytest.raises(ValueError, match="on test"):
        check_seed(100, "val")
    check_seed(100, "test")
    check_seed(99, "val")


def test_a_missing_file_is_named_without_its_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("WARDROUND_DATA", str(tmp_path))
    with pytest.raises(NoData, match=r"track C: no file tab_heart_disease_4hospitals\.npz"):
        TRACKS["C"].cases(0, "val")


@pytest.mark.parametrize("name", TRACKS)
def test_every_site_starts_with_four_labels_and_goes_on_with_as_many_each(name: str) -> None:
    study = TRACKS[name].study
    sites = study.simulation.sites
    assert study.cycle_budget(0, 0) == 4 * sites
    assert study.budget.per_cycle % sites == 0
    assert study.budget.total == (160 if name == "C" else 264)
    assert (study.audit.patients, study.budget.exploration) == (0.0, 0.0)


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_changes_what_it_says_and_keeps_the_labels(cell: str) -> None:
    study = TRACKS["A"].study
    varied = cell_of(study, cell)
    assert varied.budget.total == study.budget.total
    assert (varied.model_dump() == study.model_dump()) == (cell in ("selectors", "further"))


@pytest.mark.slow
def test_the_rare_disease_is_one_case_in_six_and_every_site_has_every_test_image() -> None:
    cases = cases_of("B", 0, "val")
    assert cases.targets is not None
    pool, scored = cases.rows("pool"), cases.rows("test")
    assert cases.targets[pool].sum(axis=0).tolist() == [1214, RARE]
    assert len(set(cases.keys)) == len(cases)
    assert cases.targets[scored].sum(axis=0).tolist() == [6 * 135, 6 * 135]
    sites = Counter(cases.sites[i] for i in scored) if cases.sites else Counter()
    assert set(sites.values()) == {270}
    sizes = Counter(cases.sites[i] for i in pool) if cases.sites else Counter()
    assert len(sizes) == 6
    assert min(sizes.values()) >= LEAST
    raw = {cases.keys[i].partition(".")[0] for i in scored}
    assert len(raw) == 270
    assert not raw & {cases.keys[i] for i in pool}


@pytest.mark.slow
def test_six_machines_show_one_test_image_in_six_ways() -> None:
    cases = cases_of("B", 0, "val")
    first = cases.keys[cases.rows("test")[0]].partition(".")[0]
    shown = {
        cases.images[i].tobytes()
        for i in cases.rows("test")
        if cases.keys[i].partition(".")[0] == first
    }
    assert len(shown) == 6


@pytest.mark.slow
def test_a_seed_moves_the_pool_of_track_b_and_not_what_is_scored() -> None:
    one, again, other = cases_of("B", 0), cases_of("B", 0), cases_of("B", 1)
    assert one.digest == again.digest != other.digest
    first, second = (sorted(c.keys[i] for i in c.rows("test")) for c in (one, other))
    assert first == second


@pytest.mark.slow
def test_validation_and_test_share_no_case_with_each_other() -> None:
    for name in ("A", "B", "C", "D"):
        develop, confirm = cases_of(name, 0, "val"), cases_of(name, 100, "test")
        ours = {develop.patients[i] for i in develop.rows("test")}
        theirs = {confirm.patients[i] for i in confirm.rows("test")}
        assert ours
        assert theirs
        assert not ours & theirs
        assert not theirs & {develop.patients[i] for i in develop.rows("pool")}


def test_the_sites_of_track_a_are_unequal_and_none_is_too_small() -> None:
    cases = cases_of("A", 0)
    study = TRACKS["A"].study
    rows = rows_of(study, cases)
    pool = set(cases.rows("pool").tolist())
    sizes = [len(pool & set(own.tolist())) for own in rows.values()]
    assert sum(sizes) == len(pool) == 4708
    assert min(sizes) >= LEAST
    assert max(sizes) > 2 * min(sizes)


def test_heart_disease_has_its_four_hospitals_and_no_gap() -> None:
    cases = cases_of("C", 0)
    assert set(cases.sites or ()) == {"cleveland", "hungarian", "switzerland", "va"}
    assert len(cases.rows("pool")) == 552
    assert cases.images.shape[1:] == (1, 8, 8)
    assert (cases.images.reshape(len(cases), -1)[:, 13:] == 128).all()


def test_missing_numbers_become_the_median_of_the_training_rows() -> None:
    x = np.array([[0.0, 1.0], [2.0, 1.0], [10.0, 1.0], [np.nan, 1.0], [99.0, 5.0]])
    z = imputed(x, np.array([True, True, True, False, False]))
    mean, spread = 4.0, np.std([0.0, 2.0, 10.0])
    assert z[3, 0] == pytest.approx((2.0 - mean) / spread)  # the median of 0, 2 and 10
    assert z[4, 1] == 4.0  # a constant column is centred alone: 5 - 1


def test_numbers_stand_in_the_first_pixels_and_are_cut_at_three() -> None:
    images = as_images(np.array([[0.0, 3.0, -9.0, 1.0]]), (1, 8, 8))
    assert images.dtype == np.uint8
    assert images[0, 0, 0, :5].tolist() == [128, 255, 1, 170, 128]


def test_any_file_with_the_keys_of_medmnist_is_a_track(tmp_path: object) -> None:
    path = f"{tmp_path}/other.npz"
    rng = generator(1, 0, 0, 0, Purpose.PHANTOM)
    content = {}
    for split, n in (("train", 600), ("val", 60), ("test", 60)):
        content[f"{split}_images"] = rng.integers(0, 256, (n, 16, 16, 3), dtype=np.uint8)
        content[f"{split}_labels"] = (np.arange(n) % 4).astype(np.uint8)[:, None]
    np.savez(path, **content)  # type: ignore[arg-type]
    track = track_of("D", Path(path))
    assert track.study.task.image == (3, 16, 16)
    assert len(track.study.task.classes) == 4
    assert len(track.cases(0, "val").rows("test")) == 60
    with pytest.raises(ValueError, match="accepted is D"):
        track_of("A", Path(path))
    with pytest.raises(ValueError, match="accepted is one of"):
        track_of("Z")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("none.npz", "no such file"),
        ("folder.npz", "no such file"),
        ("text.npz", "cannot be read"),
        ("empty.npz", "cannot be read"),
        ("cut.npz", "cannot be read"),
        ("array.npz", "cannot be read"),
        ("other.npz", "no train_images"),
        ("bare.npz", "no images with a label each"),
    ],
)
def test_a_wrong_file_is_refused_in_one_sentence(name: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / "text.npz").write_text("no archive")
    (tmp_path / "empty.npz").write_bytes(b"")
    np.savez(tmp_path / "other.npz", images=np.zeros(3))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "other.npz").read_bytes()[:40])
    with (tmp_path / "array.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    np.savez(tmp_path / "bare.npz", train_images=np.zeros((3, 8, 8)), train_labels=np.zeros(3))
    with pytest.raises(ValueError, match=said) as refused:
        track_of("D", tmp_path / name)
    assert str(refused.value).startswith(f"--file {name}: ")
    assert "accepted is an .npz file with MedMNIST's keys" in str(refused.value)
    assert str(tmp_path) not in str(refused.value)
