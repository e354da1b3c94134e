from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from simulations.results import page
from simulations.results.compare import compare
from simulations.results.drawing import ticks
from simulations.results.figures import budgets
from simulations.results.pairing import NotPaired
from simulations.results.report import write_report

Simulated = Callable[..., Path]
VOID = {"meta", "br", "hr", "img", "link", "input"}


class Balanced(HTMLParser):
    """Collects tags; fails on one that is closed out of order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parsed(page: str) -> Balanced:
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    return parser


def test_the_report_stands_alone(simulated: Simulated, tmp_path: Path) -> None:
    path = write_report([simulated()], tmp_path / "new" / "report.html")
    page = path.read_text()
    assert path.stat().st_size < 2_000_000
    assert not re.search(r"https?:|//\w|url\(|@import|\bsrc=|\bhref=", page)
    assert "script" not in parsed(page).seen
    assert page.startswith("<!doctype html>")
    assert "Research use, not for diagnosis" in page
    assert "@media print" in page
    assert "not corrected for repeated looks" in page
    assert "nan" not in re.findall(r"\w+", page)


def test_every_figure_is_sound_and_has_words_for_who_cannot_see_it(
    simulated: Simulated, tmp_path: Path
) -> None:
    page = write_report([simulated()], tmp_path / "report.html").read_text()
    figures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(figures) == 5  # two curves, a budget for each of two arms, the classes
    for figure in figures:
        root = ET.fromstring(figure)  # noqa: S314 our own drawing
        assert len(root.attrib["aria-label"]) > 40
        assert root.attrib["role"] == "img"
    assert 'class="bound"' in figures[0]


def test_cycles_are_counted_from_1_in_grants_and_bars(simulated: Simulated) -> None:
    compared = compare([simulated(arms=("coreset",), seeds=(0,), cycles=3)])
    cycles = [row[0] for row in page.grants(compared)[0].table.rows]
    assert list(dict.fromkeys(cycles)) == ["1", "2", "3"]
    middles = re.findall(r'text-anchor="middle"[^>]*>([^<]*)<', budgets(compared)[0][0])
    assert middles == ["1", "2", "3", "cycle"]


@pytest.mark.slow
def test_the_same_runs_give_the_same_bytes(simulated: Simulated, tmp_path: Path) -> None:
    out = simulated()
    first = write_report([out], tmp_path / "a.html").read_bytes()
    assert write_report([out], tmp_path / "b.html").read_bytes() == first
    moved = out.rename(tmp_path / "deeper")
    assert write_report([moved], tmp_path / "c.html").read_bytes() == first


def test_hostile_names_are_only_text(simulated: Simulated, tmp_path: Path) -> None:
    hostile = "</title></svg><script>alert(1)</script>&amp;"
    out = simulated(name="<img src=x onerror=alert(2)>", sites=(hostile, "site-02"))
    page = write_report([out], tmp_path / "report.html").read_text()
    seen = parsed(page).seen
    assert "script" not in seen
    assert "img" not in seen
    assert "&lt;img src=x onerror=alert(2)&gt;" in page


@pytest.mark.slow
@pytest.mark.parametrize(
    "fields",
    [
        {"arms": ("coreset",), "seeds": (0,)},
        {"arms": ("full",)},
        {"arms": ("coreset", "random")},
        {"seeds": (0,)},
        {"not_estimable": ("auroc",)},
        {"cycles": 1},
        {"sites": tuple(f"site-{i:02d}" for i in range(40)), "cycles": 12},
    ],
)
def test_whatever_is_missing_there_is_a_report(
    simulated: Simulated, tmp_path: Path, fields: dict[str, object]
) -> None:
    page = write_report([simulated(**fields)], tmp_path / "report.html").read_text()
    parsed(page)
    assert not re.search(r"\bnan\b|\bNone\b|\binf\b", page)


@pytest.mark.slow
def test_image_level_intervals_are_called_so(simulated: Simulated, tmp_path: Path) -> None:
    page = write_report([simulated("a", clustered=False)], tmp_path / "a.html").read_text()
    assert "image-level interval" in page
    page = write_report([simulated("b")], tmp_path / "b.html").read_text()
    assert "image-level interval" not in page


@pytest.mark.slow
def test_a_report_that_is_refused_leaves_the_old_one(simulated: Simulated, tmp_path: Path) -> None:
    path = write_report([simulated("good")], tmp_path / "report.html")
    before = path.read_bytes()
    start = {"coreset": 0.9}
    bad = simulated("bad", height=lambda arm, seed, cycle: start.get(arm, 0.5))
    with pytest.raises(NotPaired):
        write_report([bad], path)
    assert path.read_bytes() == before
    assert {p.name for p in tmp_path.iterdir()} == {"good", "bad", "report.html"}


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 120, [0, 20, 40, 60, 80, 100, 120]),
        (0.79, 0.96, [0.8, 0.85, 0.9, 0.95]),
        (3.0, 3.0, [3.0]),
    ],
)
def test_ticks_are_round_numbers(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


def test_the_locked_value_is_shown_where_the_audit_set_is_still_too_small(
    simulated: Simulated,
) -> None:
    out = simulated(arms=("coreset",), seeds=(0,))
    path = out / "coreset/seed-0/cycles.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[-1]["metrics"]["audit"]["pooled"]["auroc"] = [None, None, None]
    path.write_text("\n".join(json.dumps(line) for line in lines))
    (row,) = page.audit(compare([out])).rows
    assert row[1] == "not estimable"
    assert float(row[2]) > 0.9
