"""The embedded phantom: chest-like radiographs with opacities, drawn from a seed, without files.

It is made to be learnt from in minutes, not to look like any one machine's images: body, lung
fields, ribs, heart, spine, vessels and noise vary by patient; opacities vary in size, contrast and
place; calcified spots in either class are no opacities. Sites differ in look and in prevalence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from client.cases.cases import Cases, CasesError, Split
from protocol.seeds import Purpose, generator

Draws: TypeAlias = Mapping[str, NDArray[np.float32]]
Field: TypeAlias = NDArray[np.floating[Any]]
Ranges: TypeAlias = Mapping[str, tuple[float, float]]

SHARES: Mapping[Split, float] = {"pool": 0.6, "val": 0.1, "test": 0.3}
"""Share of each site's patients in each split."""

# Lengths are in half image widths: x and y run from -1 to 1, y downwards.
_PATIENT: Ranges = {
    "size": (0.92, 1.08),
    "lung_width": (0.26, 0.34),
    "lung_height": (0.54, 0.70),
    "heart": (0.22, 0.36),
    "density": (0.55, 0.70),
    "rib_count": (2.2, 3.2),
    "rib_phase": (0.0, 1.0),
    "rib_contrast": (0.02, 0.07),
    "vessels": (0.04, 0.16),
}
_IMAGE: Ranges = {
    "shift_x": (-0.08, 0.08),
    "shift_y": (-0.08, 0.08),
    "tilt": (-0.08, 0.08),
    "exposure": (0.8, 1.2),
    "haze": (0.0, 0.12),
    "noise": (0.01, 0.03),
    "cloud_contrast": (0.0, 0.035),
    "cloud_x": (0.3, 1.2),
    "cloud_y": (0.3, 1.2),
    "cloud_phase": (0.0, 1.0),
    "spot_contrast": (0.0, 0.12),
    "spot_angle": (0.0, 1.0),
    "spot_radius": (0.1, 0.9),
}
_OPACITY: Ranges = {
    "contrast": (0.02, 0.60),  # clear ones teach soon, faint ones keep the task from being solved
    "side": (-1.0, 1.0),
    "angle": (0.0, 1.0),
    "radius": (0.0, 0.8),
    "width": (0.12, 0.26),
    "height": (0.12, 0.26),
    "second": (0.0, 1.0),
}
_SITE: Ranges = {"gamma": (0.94, 1.07), "contrast": (0.8, 1.1), "grain": (0.5, 1.5)}
_PREVALENCE = (0.15, 0.5)
_MIDDLE = np.float32(0.45)  # a site's contrast turns about this level, so that means stay close
_SHOWN = 0.85  # an ill patient's image shows the opacity
_CHUNK = 1_000_000  # pixels drawn at a time: bounds memory at any image size


def phantom(
    image: tuple[int, int, int], classes: int, seed: int, cases: int = 2600, sites: int = 4
) -> Cases:
    """Chest-like radiographs of patients at several sites: class 0 no opacity, class 1 opacity.

    Patients have one to three images, all in one split and at one site.

    Args:
        image: channels (three are equal), height, width.
        classes: 2, the only number there is.
        cases: images in all.
        sites: how many, named site-01 and on; each has its own look and prevalence.
    Raises:
        CasesError: another number of classes, or fewer than 20 cases for each site.
    """
    if classes != 2:
        raise CasesError(f"phantom: {classes} classes were asked for; accepted are 2")
    if sites < 1 or cases < 20 * sites:
        raise CasesError(f"phantom: {cases} cases for {sites} sites; accepted are 20 for each site")
    rng = generator(seed, -1, 0, 0, Purpose.PHANTOM)
    patient = _patients(cases, rng)  # (cases,)
    people = int(patient[-1]) + 1
    site = rng.permutation(np.arange(people) % sites)  # (people,)
    split = _splits(site, rng)
    prevalence = rng.permutation(np.linspace(*_PREVALENCE, sites))
    ill = rng.random(people) < prevalence[site]
    opaque = ill[patient] & (rng.random(cases) < _SHOWN)
    draws = {name: values[patient] for name, values in _uniform(_PATIENT, people, rng).items()}
    draws |= {f"opacity_{n}": v[patient] for n, v in _uniform(_OPACITY, people, rng).items()}
    draws |= {f"site_{n}": v[site[patient]] for n, v in _uniform(_SITE, sites, rng).items()}
    draws |= _uniform(_IMAGE, cases, rng)
    draws["opacity_contrast"] = draws["opacity_contrast"] * opaque
    names = tuple(SHARES)
    return Cases(
        keys=tuple(f"phantom-{i:06d}" for i in range(cases)),
        patients=tuple(f"patient-{i:06d}" for i in patient),
        clustered=True,
        splits=tuple(names[i] for i in split[patient]),
        sites=tuple(f"site-{i + 1:02d}" for i in site[patient]),
        targets=np.eye(2, dtype=np.uint8)[opaque.astype(np.int64)],
        images=_images(draws, image, rng),
    )


def _patients(cases: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """(cases,) the patient of every image, from 0, in order; one to three images each."""
    counts = rng.choice([1, 2, 3], size=cases, p=[0.5, 0.3, 0.2])
    return np.repeat(np.arange(cases), counts)[:cases]


def _splits(site: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """(people,) every patient's split as a position in SHARES, equal shares at each site."""
    split = np.zeros(len(site), np.int64)
    for number in range(int(site.max()) + 1):
        rows = rng.permutation(np.flatnonzero(site == number))
        edges = np.cumsum(list(SHARES.values())) * len(rows)
        split[rows] = np.searchsorted(edges, np.arange(len(rows)) + 0.5)
    return split


def _uniform(ranges: Ranges, n: int, rng: np.random.Generator) -> dict[str, NDArray[np.float32]]:
    """n values of each name, uniform in its range."""
    return {k: rng.uniform(low, high, n).astype(np.float32) for k, (low, high) in ranges.items()}


def _images(
    draws: Draws, image: tuple[int, int, int], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """(n, channels, height, width) of every case."""
    channels, height, width = image
    gray = [_render(part, height, width, rng) for part in _parts(draws, height * width)]
    return np.repeat(np.concatenate(gray)[:, None], channels, axis=1)


def _parts(draws: Draws, pixels: int) -> Iterator[Draws]:
    """The draws of a few cases at a time, shaped (cases, 1, 1)."""
    n, step = len(draws["size"]), max(1, _CHUNK // pixels)
    for start in range(0, n, step):
        yield {name: v[start : start + step, None, None] for name, v in draws.items()}


def _render(d: Draws, height: int, width: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """(n, height, width) as the site's machine shows them."""
    rows = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    columns = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    x = (columns - d["shift_x"] + d["tilt"] * rows) / d["size"]
    y = (rows - d["shift_y"] - d["tilt"] * columns) / d["size"]
    chest = _chest(d, x, y) * d["exposure"] + d["haze"]
    shown = _MIDDLE + d["site_contrast"] * (np.clip(chest, 0, 1) ** d["site_gamma"] - _MIDDLE)
    grain = rng.standard_normal(shown.shape, dtype=np.float32) * d["noise"] * d["site_grain"]
    seen: Field = np.clip(shown + grain, 0, 1)
    return np.rint(seen * 255).astype(np.uint8)


def _chest(d: Draws, x: Field, y: Field) -> Field:
    """(n, height, width) density, dense is bright."""
    body = _ellipse(x, y - 0.3, d["size"] * 0.92, 1.3, 10)
    heart = _ellipse(x - 0.14, y - 0.34, d["heart"], d["heart"] * 0.9, 9)
    lungs = _ellipse(np.abs(x) - 0.42, y + 0.05, d["lung_width"], d["lung_height"], 12)
    air = lungs * (1 - heart)
    turn = np.float32(2 * np.pi)
    ribs = np.sin(turn * (d["rib_count"] * (y + 0.4 * x * x) + d["rib_phase"]))
    clouds = np.sin(turn * (d["cloud_x"] * x + d["cloud_y"] * y + d["cloud_phase"]))
    density: Field = 0.06 + body * d["density"] - air * (d["density"] - 0.2)
    density += d["rib_contrast"] * ribs * air + d["cloud_contrast"] * clouds
    density += 0.08 * np.exp(-((x / 0.1) ** 2)) * body
    density += d["vessels"] * _blob(np.abs(x) - 0.2, y, 0.12, 0.2)
    return density + (_opacities(d, x, y) + _spots(d, x, y)) * lungs


def _opacities(d: Draws, x: Field, y: Field) -> Field:
    """(n, height, width) one or two soft shadows in a lung; nothing where the contrast is 0."""
    side = np.sign(d["opacity_side"])
    cx, cy = _place(d, d["opacity_angle"], d["opacity_radius"])
    shape = (d["opacity_width"], d["opacity_height"])
    first = _blob(x - side * 0.42 - cx, y - cy, *shape)
    second = _blob(x - side * 0.42 + cx, y + cy, *shape) * (d["opacity_second"] > 0.7)
    shadow: Field = d["opacity_contrast"] * (first + second)
    return shadow


def _spots(d: Draws, x: Field, y: Field) -> Field:
    """(n, height, width) one small dense spot, in either class."""
    cx, cy = _place(d, d["spot_angle"], d["spot_radius"])
    spot: Field = d["spot_contrast"] * _blob(np.abs(x) - 0.42 - cx, y - cy, 0.05, 0.05)
    return spot


def _place(d: Draws, angle: Field, radius: Field) -> tuple[Field, Field]:
    """Where in a lung, from its centre: angle in turns, radius as a share of the lung's."""
    turn = np.float32(2 * np.pi) * angle
    return (
        radius * d["lung_width"] * np.cos(turn),
        radius * d["lung_height"] * np.sin(turn),
    )


def _ellipse(x: Field, y: Field, a: Field | float, b: Field | float, edge: float) -> Field:
    """1 inside, 0 outside, with a soft border; a larger `edge` is sharper."""
    inside: Field = 1 / (1 + np.exp(-edge * (1 - np.sqrt((x / a) ** 2 + (y / b) ** 2))))
    return inside


def _blob(x: Field, y: Field, a: Field | float, b: Field | float) -> Field:
    """A Gaussian hill of height 1."""
    hill: Field = np.exp(-0.5 * ((x / a) ** 2 + (y / b) ** 2))
    return hill
