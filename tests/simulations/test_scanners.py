"""Scanner looks: fixed for each site, independent of the batch, each knob does what it says."""

import numpy as np
import pytest
from numpy.typing import NDArray

from simulations.scanners import Scanner, scanner


@pytest.fixture
def images() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (6, 1, 9, 10), dtype=np.uint8)


def test_a_site_keeps_its_scanner_and_sites_differ() -> None:
    assert scanner(3, 1) == scanner(3, 1)
    assert len({scanner(seed, site) for seed in range(3) for site in range(20)}) == 60


@pytest.mark.parametrize("site", range(4))
def test_an_image_looks_the_same_in_every_batch(site: int, images: NDArray[np.uint8]) -> None:
    seen = scanner(0, site).apply(images)
    assert seen.dtype == np.uint8
    assert seen.shape == images.shape
    assert not np.array_equal(seen, images)
    assert np.array_equal(scanner(0, site).apply(images[[4, 1]]), seen[[4, 1]])
    assert scanner(0, site).apply(images[:0]).shape == (0, 1, 9, 10)


def test_the_plain_scanner_changes_nothing(images: NDArray[np.uint8]) -> None:
    assert np.array_equal(Scanner().apply(images), images)


def test_gamma_and_contrast_by_hand() -> None:
    gray = np.full((1, 1, 2, 2), 51, np.uint8)  # 0.2 of full scale
    assert Scanner(gamma=2).apply(gray)[0, 0, 0, 0] == 10  # 0.04
    assert Scanner(contrast=0.5).apply(gray)[0, 0, 0, 0] == 89  # 0.5 + 0.5 * (0.2 - 0.5) = 0.35


def test_coarse_takes_the_mean_of_blocks() -> None:
    image = np.arange(0, 9, dtype=np.uint8).reshape(1, 1, 3, 3) * 10
    seen = Scanner(coarse=2).apply(image)[0, 0]
    assert seen.tolist() == [[20, 20, 35], [20, 20, 35], [65, 65, 80]]


def test_blur_keeps_flat_images_and_smooths_others(images: NDArray[np.uint8]) -> None:
    flat = np.full((1, 3, 9, 10), 77, np.uint8)
    assert np.array_equal(Scanner(blur=0.1).apply(flat), flat)
    assert Scanner(blur=0.1).apply(images).std() < 0.7 * images.std()


def test_noise_has_the_deviation_it_says_and_differs_between_images() -> None:
    gray = np.stack([np.full((1, 100, 100), v, np.uint8) for v in (127, 128)])
    seen = Scanner(noise=0.05, seed=1).apply(gray).astype(float) / 255
    assert seen.std(axis=(1, 2, 3)) == pytest.approx([0.05, 0.05], rel=0.05)
    assert abs(np.corrcoef(seen[0].ravel(), seen[1].ravel())[0, 1]) < 0.05


@pytest.mark.parametrize(
    "wrong", [{"gamma": 0}, {"blur": -1}, {"coarse": 0}, {"noise": float("nan")}]
)
def test_impossible_scanners_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="accepted is gamma > 0"):
        Scanner(**wrong)  # type: ignore[arg-type]  # wrong on purpose
