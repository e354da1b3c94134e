"""Stacked bars in SVG: what each cycle spent at each site, and shares of classes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from simulations.results.drawing import WIDTH, figure, shorten, text, ticks

_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 8, 22, 34
MOST = 7
"""Parts of a stack that get a colour of their own; the others are drawn as one."""


def merged(parts: Mapping[str, Sequence[float]], rest: str) -> dict[str, list[float]]:
    """The parts, the smaller ones summed where there are more than MOST + 1.

    Args:
        parts: values by name, all equally long.
        rest: what the sum is called, with {} for how many it is of.
    """
    if len(parts) <= MOST + 1:
        return {name: list(values) for name, values in parts.items()}
    largest = sorted(parts, key=lambda name: (-sum(parts[name]), name))[:MOST]
    kept = {name: list(parts[name]) for name in parts if name in largest}
    others = [values for name, values in parts.items() if name not in largest]
    return kept | {rest.format(len(others)): [sum(row) for row in zip(*others, strict=True)]}


def stacked(
    title: str, parts: Mapping[str, Sequence[float]], top: float, titles: tuple[str, str], alt: str
) -> str:
    """Columns of stacked parts, one column for each position of the parts' values.

    Args:
        title: above the columns.
        parts: heights by name, first at the bottom; the columns are counted from 1.
        top: what the full height stands for.
        titles: of the x and the y axis.
        alt: what the figure shows.
    """
    width, height = 370, 210
    columns = max(len(values) for values in parts.values())
    step = (width - _LEFT - _RIGHT) / columns
    scale = (height - _TOP - _BOTTOM) / (top or 1.0)
    floor = height - _BOTTOM
    content = [text(_LEFT, 14, shorten(title, 44), "head")]
    for value in ticks(0, top or 1.0, 4):
        y = round(floor - value * scale, 1)
        content.append(f'<path class="grid" d="M{_LEFT} {y}H{width - _RIGHT}"/>')
        content.append(text(_LEFT - 6, y + 4, f"{value:,.6g}", anchor="end"))
    bottoms = [float(floor)] * columns
    for slot, values in enumerate(parts.values()):
        for i, value in enumerate(values):
            bottoms[i] -= value * scale
            x = _LEFT + step * (i + 0.14)
            content.append(
                f'<rect class="f{slot % 8}" x="{x:.1f}" y="{bottoms[i]:.1f}" '
                f'width="{step * 0.72:.1f}" height="{value * scale:.1f}"/>'
            )
    every = max(1, math.ceil(columns / 12))
    for i in range(0, columns, every):
        content.append(text(_LEFT + step * (i + 0.5), floor + 14, str(i + 1), anchor="middle"))
    content.append(text((width + _LEFT) / 2, height - 4, titles[0], "title", "middle"))
    return figure("".join(content), f"{alt} {titles[1]}.", height, width)


def shares(rows: Mapping[str, Sequence[float]], names: Sequence[str], alt: str) -> str:
    """One horizontal bar of shares for each row.

    Args:
        rows: shares by row name, each summing to 1.
        names: of the parts.
        alt: what the figure shows.
    """
    left, right, step = 170, 20, 30
    content = []
    for i, (row, values) in enumerate(rows.items()):
        y = 6 + step * i
        content.append(text(left - 10, y + 15, shorten(row, 24), anchor="end"))
        x = float(left)
        for slot, value in enumerate(values):
            wide = value * (WIDTH - left - right)
            content.append(
                f'<rect class="f{slot % 8}" x="{x:.1f}" y="{y}" width="{wide:.1f}" height="20"/>'
            )
            if wide > 40:
                content.append(
                    text(x + wide / 2, y + 14.5, f"{100 * value:.0f} %", f"on{slot % 8}", "middle")
                )
            x += wide
    spoken = "; ".join(
        f"{row}: " + ", ".join(f"{n} {100 * v:.0f} %" for n, v in zip(names, values, strict=False))
        for row, values in rows.items()
    )
    return figure("".join(content), f"{alt} {spoken}.", 10 + step * len(rows))
