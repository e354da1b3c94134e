"""Plain SVG for a page: lines with bands, stacked bars, shares. Colours come from the page's CSS.

Own SVG rather than a plotting library's: a figure is a few kilobytes of text that follows the
page's light or dark colours, needs no font, and is the same to the byte each time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 760
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 150, 16, 46
_MARKS = (  # circle, square, triangle, diamond, triangle down, bar
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0Z",
    "M-3.6 -3.6h7.2v7.2h-7.2Z",
    "M0 -4.8L4.6 3.6H-4.6Z",
    "M0 -5L5 0L0 5L-5 0Z",
    "M0 4.8L4.6 -3.6H-4.6Z",
    "M-4.5 -2h9v4h-9Z",
)


@dataclass(frozen=True, slots=True)
class Series:
    """One line: points, and a band around it.

    Attributes:
        name: shown at its end.
        style: number of its colour and mark; -1 is the quiet grey of the reference.
        x: ascending.
        y: heights.
        low, high: the band, as long as x.
    """

    name: str
    style: int
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


@dataclass(frozen=True, slots=True)
class Frame:
    """Data coordinates on a drawing of a given height."""

    x: tuple[float, float]
    y: tuple[float, float]
    height: int

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Pixels of a point."""
        (x0, x1), (y0, y1) = self.x, self.y
        px = _LEFT + (x - x0) / ((x1 - x0) or 1.0) * (WIDTH - _LEFT - _RIGHT)
        py = self.height - _BOTTOM - (y - y0) / ((y1 - y0) or 1.0) * (self.height - _TOP - _BOTTOM)
        return round(px, 1), round(py, 1)


def ticks(low: float, high: float, count: int = 6) -> list[float]:
    """Round numbers between low and high, about `count` of them."""
    if not low < high:
        return [low]
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(f * power for f in (1, 2, 2.5, 5, 10) if f * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 10) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def lines(
    series: Sequence[Series],
    titles: tuple[str, str],
    alt: str,
    bound: tuple[str, float] | None = None,
    height: int = 380,
) -> str:
    """A line chart with a band and marks for each series, and the bound as a dashed line.

    Args:
        series: at least one, each with at least one point.
        titles: of the x and the y axis.
        alt: what the figure shows, for who cannot see it.
        bound: name and height of the dashed line.
        height: pixels.
    """
    heights = [v for s in series for v in (*s.low, *s.high)] + ([bound[1]] if bound else [])
    xs = [v for s in series for v in s.x]
    low, high = min(heights), max(heights)
    room = (high - low) * 0.06 or 0.05
    frame = Frame((min(0.0, min(xs)), max(xs)), (low - room, high + room), height)
    parts = [_axes(frame, titles)]
    ends: list[tuple[float, str, str]] = []
    if bound:
        (x0, y), (x1, _) = frame.at(frame.x[0], bound[1]), frame.at(frame.x[1], bound[1])
        parts.append(f'<path class="bound" d="M{x0} {y}H{x1}"/>')
        ends.append((y, "bound-text", bound[0]))
    for one in series:
        parts.append(_line(frame, one))
        ends.append((frame.at(one.x[-1], one.y[-1])[1], f"t{_slot(one.style)}", one.name))
    parts += _labels(ends, height)
    return figure("".join(parts), alt, height)


def figure(content: str, alt: str, height: float, width: int = WIDTH) -> str:
    """An SVG element with its alternative text."""
    return (
        f'<svg viewBox="0 0 {width} {height:g}" role="img" aria-label="{escape(alt)}">'
        f"<title>{escape(alt)}</title>{content}</svg>"
    )


def text(x: float, y: float, content: str, kind: str = "", anchor: str = "start") -> str:
    """A line of text, escaped."""
    return (
        f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" class="{kind}">{escape(content)}</text>'
    )


def shorten(name: str, length: int = 20) -> str:
    """A name that fits beside a figure."""
    return name if len(name) <= length else f"{name[: length - 1]}…"


def _slot(style: int) -> str:
    """The CSS slot of a style number."""
    return "q" if style < 0 else str(style % 8)


def _line(frame: Frame, one: Series) -> str:
    """Band, line and marks of one series."""
    upper = [frame.at(x, y) for x, y in zip(one.x, one.high, strict=True)]
    lower = [frame.at(x, y) for x, y in zip(one.x, one.low, strict=True)]
    points = [frame.at(x, y) for x, y in zip(one.x, one.y, strict=True)]
    slot = _slot(one.style)
    mark = _MARKS[(one.style + 1) % len(_MARKS)]
    marks = "".join(f'<path d="{mark}" transform="translate({x} {y})"/>' for x, y in points)
    return (
        f'<g class="s{slot}"><path class="band" d="{_path([*upper, *reversed(lower)])}Z"/>'
        f'<path class="line" d="{_path(points)}"/><g class="mark">{marks}</g></g>'
    )


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x} {y}" for x, y in points)


def _axes(frame: Frame, titles: tuple[str, str]) -> str:
    """Grid, tick labels and axis titles."""
    parts = []
    wide = ticks(*frame.y)
    decimals = max(2, *(len(f"{v:.10g}".partition(".")[2]) for v in wide)) if wide else 2
    left, bottom = frame.at(frame.x[0], frame.y[0])
    right = frame.at(frame.x[1], frame.y[0])[0]
    for value in wide:
        y = frame.at(0, value)[1]
        parts.append(f'<path class="grid" d="M{left} {y}H{right}"/>')
        parts.append(text(left - 8, y + 4, f"{value:.{decimals}f}", anchor="end"))
    for value in ticks(*frame.x):
        x = frame.at(value, frame.y[0])[0]
        parts.append(f'<path class="tick" d="M{x} {bottom}v5"/>')
        parts.append(text(x, bottom + 19, f"{value:,.6g}", anchor="middle"))
    parts.append(f'<path class="axis" d="M{left} {bottom}H{right}"/>')
    parts.append(text((left + right) / 2, frame.height - 8, titles[0], "title", "middle"))
    middle = (_TOP + bottom) / 2
    turned = text(0, 0, titles[1], "title", "middle")
    parts.append(f'<g transform="translate(14 {middle:g}) rotate(-90)">{turned}</g>')
    return "".join(parts)


def _labels(ends: Sequence[tuple[float, str, str]], height: int) -> list[str]:
    """Names at the line ends, pushed apart so that none covers another."""
    gap = 16.0
    placed: list[tuple[float, str, str]] = []
    for y, kind, name in sorted(ends):
        least = placed[-1][0] + gap if placed else -math.inf
        placed.append((max(y, least), kind, name))
    over = max(0.0, placed[-1][0] - (height - _BOTTOM)) if placed else 0.0
    return [
        text(WIDTH - _RIGHT + 10, y - over + 4, shorten(name), f"label {kind}")
        for y, kind, name in placed
    ]
