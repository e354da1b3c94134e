"""Images from updates: what is told without noise, and that noise and sums tell less."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from client.learning.networks import initial_arrays
from protocol.study import Study, load
from simulations.attacks.privacy.crafted import fishing, imprinting
from simulations.attacks.privacy.inversion import Search, invert
from simulations.attacks.privacy.likeness import likeness, nearest, ssim
from simulations.attacks.privacy.reconstruction import Line, Material, connected
from simulations.attacks.privacy.seen import ONE_STEP, update
from simulations.attacks.privacy.told import keep, kept, of_reconstruction
from simulations.studies import committed


def _study(network: str) -> Study:
    return load(committed()["pneumonia"], [f"network.name={network}", *ONE_STEP])


def test_attack_likeness_by_hand() -> None:
    rng = np.random.default_rng(0)
    three = rng.integers(0, 256, (3, 1, 16, 16), dtype=np.uint8)
    assert likeness(three[[2, 0, 1]], three) == pytest.approx([1, 1, 1])
    assert likeness(three[[1]], three).tolist() == pytest.approx([0, 1, 0])
    assert nearest(three[:2], three)[:2] == pytest.approx([1, 1])
    flat = np.full((1, 8, 8), 100, dtype=np.uint8)
    c = (0.01 * 255) ** 2  # of two flat images only luminance counts
    wanted = (2 * 100 * 120 + c) / (100**2 + 120**2 + c)
    assert ssim(flat, np.full_like(flat, 120)) == pytest.approx(wanted)
    assert abs(ssim(three[0], three[1])) < 0.1


@pytest.fixture(scope="module")
def lines() -> dict[tuple[str, int], Line]:
    return {(x.attack, x.images): x for x in connected(Material.of("phantom"))}


@pytest.mark.slow
def test_attack_one_image_in_one_step_of_an_mlp_is_told_exactly(
    lines: dict[tuple[str, int], Line],
) -> None:
    alone = lines["MLP, one SGD step", 1]
    assert alone.found > 0.99 > alone.nearest
    assert alone.shown == 1


@pytest.mark.slow
def test_attack_crafted_weights_tell_most_of_eight_images_also_through_a_sum_of_sites(
    lines: dict[tuple[str, int], Line],
) -> None:
    assert lines["MLP, one SGD step", 8].shown <= 2
    assert lines["MLP, crafted weights (imprint), one SGD step", 8].shown >= 5
    summed = lines["MLP, crafted weights, the sum of four sites' SGD steps (SecAgg+)", 8]
    assert summed.shown >= 5  # a lying server is not stopped by secure aggregation


@pytest.mark.slow
def test_attack_dp_sgd_leaves_nothing_that_another_image_would_not_tell(
    lines: dict[tuple[str, int], Line],
) -> None:
    noisy = [x for (words, _), x in lines.items() if "DP-SGD" in words]
    assert len(noisy) == 2
    assert all(x.shown == 0 and x.best < 0.5 * x.nearest for x in noisy)


def test_attack_crafted_weights_are_arrays_that_a_site_takes() -> None:
    study = _study("mlp")
    start = initial_arrays(study)
    crafted = imprinting(study, start, (0.0, 0.5))
    assert {k: (a.shape, a.dtype) for k, a in crafted.items()} == {
        k: (a.shape, a.dtype) for k, a in start.items()
    }
    assert any(not np.array_equal(crafted[k], start[k]) for k in start)


@pytest.mark.slow
def test_attack_fishing_leaves_a_gradient_to_one_class_alone() -> None:
    study = _study("tiny-cnn")
    material = Material.of("phantom")
    crafted = fishing(initial_arrays(study), 1)
    images, labels = material.batch(3, 1)
    both = update(study, crafted, images, labels)
    alone = update(study, crafted, images[3:], labels[3:])
    one = np.concatenate([a.ravel() for a in both.values()])
    other = np.concatenate([a.ravel() for a in alone.values()])
    assert one @ other / np.linalg.norm(one) / np.linalg.norm(other) > 0.999
    honest = update(study, initial_arrays(study), images, labels)
    plain = np.concatenate([a.ravel() for a in honest.values()])
    assert plain @ other / np.linalg.norm(plain) / np.linalg.norm(other) < 0.9


@pytest.mark.slow
def test_attack_inversion_goes_the_way_of_the_update_and_is_deterministic() -> None:
    study = _study("tiny-cnn")
    material = Material.of("phantom")
    start = initial_arrays(study)
    image, label = material.batch(0, 1)
    seen = update(study, start, image, label)
    found = [
        invert(study, start, seen, label, material.others, Search(steps=steps))
        for steps in (1, 20, 20)
    ]
    assert np.array_equal(found[1], found[2])

    def off(answer: np.ndarray) -> float:
        other = update(study, start, answer, label)
        a = np.concatenate([v.ravel() for v in seen.values()])
        b = np.concatenate([v.ravel() for v in other.values()])
        return float(1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    assert off(found[1]) < 0.9 * off(found[0])


def test_attack_tables_lie_beside_the_run(tmp_path: Path) -> None:
    told = of_reconstruction([Line("CNN", 4, 0.25, 0.5, 0.75, 1)])
    path = keep(tmp_path, "reconstruction", told)
    assert json.loads(path.read_text())["rows"] == [["CNN", "4", "0.25", "0.50", "0.75", "1 of 4"]]
    assert list(kept([tmp_path])) == [told]
