"""Every test that docs/privacy.md names for a promise is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_privacy_page_names_tests_that_exist() -> None:
    page = (ROOT / "docs" / "privacy.md").read_text(encoding="utf-8")
    table = page.partition("## Each promise and its test")[2].partition("\n## ")[0]
    named = re.findall(r"`((?:test_|\.\.\._)\w+(?:\.\.\.)?)`", table)
    texts = (path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    there = {name for text in texts for name in re.findall(r"def (test_\w+)", text)}
    patterns = [re.compile(".*".join(map(re.escape, name.split("...")))) for name in named]
    assert len(named) > 20
    missing = [p.pattern for p in patterns if not any(map(p.fullmatch, there))]
    assert not missing
