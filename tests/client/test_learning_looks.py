"""What an image looks like from afar."""

from __future__ import annotations

import numpy as np
import pytest

from client.learning.images import looks


def test_a_grid_of_means_by_hand() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 2, 28, 28), dtype=np.uint8)
    wanted = images.reshape(3, 2, 7, 4, 7, 4).mean(axis=(3, 5)).reshape(3, 98) / 255
    found = looks(images, batch=2)
    assert found.dtype == np.float32
    assert found == pytest.approx(wanted, abs=1e-6)


def test_small_images_stay_as_they_are_and_none_give_none() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 1, 8, 8), dtype=np.uint8)
    assert looks(images) == pytest.approx(images.reshape(2, 64) / 255)
    assert looks(images[:0]).shape == (0, 64)
    assert looks(np.zeros((1, 1, 30, 65), np.uint8)).shape == (1, 49)
