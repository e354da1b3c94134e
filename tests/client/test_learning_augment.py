from __future__ import annotations

import math

import pytest
import torch

from client.learning.augment import Drawn, active, apply, draw
from protocol.sections import Augmentation

ALL = Augmentation(
    flip=0.5, rotate=10.0, shift=0.1, zoom=0.1, brightness=0.1, contrast=0.1, noise=0.05
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def moved(n: int, angle: float = 0, shift: tuple[float, float] = (0, 0), zoom: float = 1) -> Drawn:
    return Drawn(
        angle=torch.full((n,), math.radians(angle)),
        shift=torch.tensor([shift] * n, dtype=torch.float32),
        zoom=torch.full((n,), float(zoom)),
    )


def test_no_augmentation_is_the_same_tensor() -> None:
    images = torch.randn(3, 1, 8, 8)
    assert not active(Augmentation())
    assert apply(images, draw(Augmentation(), 3, generator())) is images


def test_flip_mirrors_exactly_and_only_the_images_drawn() -> None:
    images = torch.randn(40, 2, 5, 7)
    assert torch.equal(apply(images, draw(Augmentation(flip=1.0), 40, generator())), images.flip(3))
    drawn = draw(Augmentation(flip=0.5), 40, generator())
    assert drawn.flip is not None
    assert 8 < int(drawn.flip.sum()) < 32
    out = apply(images, drawn)
    assert torch.equal(out[drawn.flip], images[drawn.flip].flip(3))
    assert torch.equal(out[~drawn.flip], images[~drawn.flip])


@pytest.mark.slow
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_quarter_turns_are_those_of_rot90(turns: int) -> None:
    images = torch.randn(2, 1, 9, 9)
    out = apply(images, moved(2, angle=90 * turns))
    torch.testing.assert_close(out, images.rot90(turns, (2, 3)), atol=1e-4, rtol=1e-4)


def test_a_turn_keeps_shapes_in_an_image_that_is_not_square() -> None:
    images = torch.zeros(1, 1, 11, 21)
    images[0, 0, 5, 6:15] = 1  # a bar of 9 pixels through the centre
    out = apply(images, moved(1, angle=90))
    assert out[0, 0, 1:10, 10].tolist() == pytest.approx([1.0] * 9, abs=1e-4)
    assert float(out.sum()) == pytest.approx(9, abs=1e-3)


def test_shift_is_a_share_of_the_width_to_the_right_and_down() -> None:
    images = torch.zeros(1, 1, 10, 20)
    images[0, 0, 4, 6] = 1
    out = apply(images, moved(1, shift=(0.1, 0.05)))
    assert float(out[0, 0, 5, 8]) == pytest.approx(1, abs=1e-4)
    turned = apply(images, moved(1, angle=180, shift=(0.1, 0.05)))
    assert float(turned[0, 0, 5 + 1, 13 + 2]) == pytest.approx(1, abs=1e-4)


def test_zoom_of_two_doubles_the_size() -> None:
    images = torch.zeros(1, 1, 16, 16)
    images[0, 0, 6:10, 6:10] = 1
    out = apply(images, moved(1, zoom=2))
    assert float(out[0, 0, 5:11, 5:11].min()) == pytest.approx(1)
    assert float(out[0, 0, 8, :3].max()) == 0


def test_brightness_contrast_and_noise_by_hand() -> None:
    images = torch.tensor([[-1.0, 1.0], [0.0, 2.0]]).view(2, 1, 1, 2)
    lighter = apply(images, Drawn(brightness=torch.tensor([0.1, -0.25])))
    assert lighter.flatten().tolist() == pytest.approx([-0.6, 1.4, -1.0, 1.0])
    flatter = apply(images, Drawn(contrast=torch.tensor([0.5, 2.0])))
    assert flatter.flatten().tolist() == pytest.approx([-0.5, 0.5, -1.0, 3.0])
    big = torch.zeros(2, 1, 100, 100)
    noisy = apply(big, Drawn(noise=torch.tensor([0.0, 0.05]), seed=3))
    assert not noisy[0].any()
    assert float(noisy[1].std()) == pytest.approx(0.2, rel=0.05)


def test_same_generator_same_images_and_the_originals_are_kept() -> None:
    images = torch.randn(6, 1, 12, 12)
    before, state = images.clone(), torch.random.get_rng_state()
    first = apply(images, draw(ALL, 6, generator(1)))
    assert torch.equal(first, apply(images, draw(ALL, 6, generator(1))))
    assert not torch.equal(first, apply(images, draw(ALL, 6, generator(2))))
    assert torch.equal(images, before)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_what_is_drawn_stays_within_the_limits_and_uses_them() -> None:
    drawn = draw(ALL, 2000, generator())
    limits = {"angle": math.radians(10), "shift": 0.1, "brightness": 0.1}
    for name, limit in limits.items():
        values = getattr(drawn, name)
        assert 0.98 * limit < float(values.abs().max()) <= limit
        assert abs(float(values.mean())) < 0.05 * limit
    for name in ("zoom", "contrast"):
        assert 0.098 < float((getattr(drawn, name) - 1).abs().max()) <= 0.1 + 1e-6
    assert drawn.noise is not None
    assert 0 <= float(drawn.noise.min()) < float(drawn.noise.max()) <= 0.05
