"""From frames to what a network and a physician see. Runs in the decoding child."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from client.images import Image, Window, slices_seen
from client.sources.plan import Plan, as_json, from_json
from client.sources.source import Frame, Frames, Locator, PixelTrouble

_SAMPLE = 8192
"""Values looked at per slice where a window must be found."""
_TAILS = (0.5, 99.5)
"""Percent of the sampled values below the black and the white end of a window that was found."""
_CT = Window(40.0, 400.0, "soft tissue")


def opened(locator: Locator) -> Frames:
    """The case behind a locator.

    Raises:
        PixelTrouble: it cannot be had.
    """
    reader = _READERS.get(str(locator["kind"]))
    if reader is None:
        raise PixelTrouble("unreadable")
    return reader(locator)


def _dicom(locator: Locator) -> Frames:
    from client.sources.dicom_pixels import frames

    return frames(locator)


def _nifti(locator: Locator) -> Frames:
    from client.sources.nifti import frames

    return frames(locator)


def _picture_file(locator: Locator) -> Frames:
    from client.sources.pictures import frames

    return frames(locator)


def _array(locator: Locator) -> Frames:
    from client.sources.arrays import frames

    return frames(locator)


_READERS: Mapping[str, Callable[[Locator], Frames]] = {
    "dicom": _dicom,
    "nifti": _nifti,
    "picture": _picture_file,
    "array": _array,
}


def survey(locator: Locator) -> dict[str, Any]:
    """Decode every slice once, and say how the volume is to be made: a `Plan` as JSON.

    Raises:
        PixelTrouble: a slice cannot be decoded, or has another size than the first.
    """
    frames = opened(locator)
    seen = _Seen()
    for i in range(frames.count):
        seen.add(frames.read(i))
    return as_json(seen.plan(frames))


class _Seen:
    """What the slices of a case have in common."""

    def __init__(self) -> None:
        self.shape: tuple[int, ...] = ()
        self.scales: set[tuple[float, float]] = set()
        self.whole = True  # stored values are integers
        self.stored = [np.inf, -np.inf]
        self.shown = [np.inf, -np.inf]
        self.samples: list[NDArray[np.float32]] = []

    def add(self, frame: Frame) -> None:
        stored = frame.stored
        self.shape = self.shape or stored.shape
        if stored.shape != self.shape or not stored.size:
            raise PixelTrouble("unreadable")
        if stored.ndim == 3:
            return
        if not np.isfinite(stored).all():
            raise PixelTrouble("unreadable")
        low, high = float(stored.min()), float(stored.max())
        self.whole &= stored.dtype.kind in "iu"
        self.scales.add((frame.slope, frame.intercept))
        ends = [v * frame.slope + frame.intercept for v in (low, high)]
        self.stored = [min(self.stored[0], low), max(self.stored[1], high)]
        self.shown = [min(self.shown[0], *ends), max(self.shown[1], *ends)]
        flat = stored.ravel()[:: max(1, stored.size // _SAMPLE)]
        self.samples.append((flat * frame.slope + frame.intercept).astype(np.float32))

    def plan(self, frames: Frames) -> Plan:
        if not self.shape:
            raise PixelTrouble("unreadable")
        size = (frames.count, int(self.shape[0]), int(self.shape[1]))
        if len(self.shape) == 3:
            return Plan(size, "uint8", True, replace(frames.geometry, windows=()))
        windows = frames.geometry.windows or (self._window(frames.geometry.unit),)
        geometry = replace(frames.geometry, windows=windows)
        exact = self.whole and len(self.scales) == 1
        for dtype in ("int16", "uint16") if exact else ():
            ends = np.iinfo(dtype)
            if ends.min <= self.stored[0] and self.stored[1] <= ends.max:
                slope, intercept = next(iter(self.scales))
                return Plan(size, dtype, True, replace(geometry, slope=slope, intercept=intercept))
        low, high = self.shown
        spread = replace(geometry, slope=(high - low) / 65535 or 1.0, intercept=low)
        return Plan(size, "uint16", False, spread)

    def _window(self, unit: str) -> Window:
        if unit == "HU":
            return _CT
        low, high = np.percentile(np.concatenate(self.samples), _TAILS)
        if high <= low:
            low, high = self.shown
        return Window(float(low + high) / 2, max(float(high - low), 1e-6))


def picture(locator: Locator, image: Image) -> NDArray[np.uint8]:
    """(channels, height, width) uint8 after the first window, for a network.

    A gray image is repeated over the channels; of a volume each channel is another slice, evenly
    spaced, so that one channel is the middle slice and three are those at a quarter, half and three
    quarters. Colour becomes gray by luminance. The aspect ratio follows the study (Lanczos).
    """
    frames, plan = opened(locator), from_json(locator["plan"])
    channels, height, width = image
    if plan.colour:
        shown = Pillow.fromarray(frames.read(frames.count // 2).stored, "RGB")
        if channels == 1:
            shown = shown.convert("L")
        resized = np.asarray(shown.resize((width, height), Pillow.Resampling.LANCZOS))
        return np.ascontiguousarray(resized.reshape(height, width, channels).transpose(2, 0, 1))
    chosen = slices_seen(frames.count, channels)
    planes = {i: _windowed(frames.read(i), plan) for i in sorted(set(chosen))}
    small = {
        i: np.asarray(Pillow.fromarray(p).resize((width, height), Pillow.Resampling.LANCZOS))
        for i, p in planes.items()
    }
    return np.stack([small[i] for i in chosen])


def _windowed(frame: Frame, plan: Plan) -> NDArray[np.uint8]:
    """0 black to 255 white; small values are white where the source says so."""
    window = plan.geometry.windows[0]
    shown = frame.stored.astype(np.float32) * np.float32(frame.slope) + np.float32(frame.intercept)
    share = (shown - np.float32(window.centre)) / np.float32(window.width) + np.float32(0.5)
    share = np.clip(share, 0, 1)
    if plan.geometry.inverted:
        share = 1 - share
    bright: NDArray[np.uint8] = np.rint(share * 255).astype(np.uint8)
    return bright


def write_volume(locator: Mapping[str, Any], out: str) -> None:
    """All slices, one after the other, as raw little-endian numbers of the plan's dtype."""
    frames, plan = opened(locator), from_json(locator["plan"])
    if frames.count != plan.shape[0]:
        raise PixelTrouble("changed")
    with open(out, "wb") as file:
        for i in range(frames.count):
            values = _stored(frames.read(i), plan)
            if values.shape != plan.whole[1:]:
                raise PixelTrouble("changed")
            file.write(np.ascontiguousarray(values).tobytes())


def _stored(frame: Frame, plan: Plan) -> NDArray[Any]:
    if plan.colour:
        return frame.stored.astype(np.uint8)
    ends = np.iinfo(plan.dtype)
    values = frame.stored
    if not plan.exact:
        shown = values.astype(np.float64) * frame.slope + frame.intercept
        values = np.rint((shown - plan.geometry.intercept) / plan.geometry.slope)
    dtype = np.dtype(plan.dtype).newbyteorder("<")
    clipped: NDArray[Any] = np.clip(values, ends.min, ends.max).astype(dtype)
    return clipped
