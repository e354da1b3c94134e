"""The bundle that travels: what is in it, and that Flower would build the same."""

from __future__ import annotations

import io
import shutil
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

from protocol import bundle

FOLDER = Path(bundle.__file__).parent / "fab"


def content() -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(bundle.fab())) as file:
        return {name: file.read(name) for name in file.namelist()}


def test_it_holds_a_configuration_a_page_and_their_listing() -> None:
    assert set(content()) == {"pyproject.toml", "README.md", ".info/CONTENT"}


def test_it_names_the_installed_apps_and_the_distributions_version() -> None:
    said = tomllib.loads(content()["pyproject.toml"].decode())
    app = said["tool"]["flwr"]["app"]
    assert said["project"]["name"] == "wardround"
    assert said["project"]["version"] == version("wardround")
    assert app["components"] == {"serverapp": "server.app:app", "clientapp": "client.app:app"}
    assert app["config"] == {"home": ""}


@pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning")  # flwr's own
def test_flower_builds_the_same_and_nothing_that_lies_beside(tmp_path: Path) -> None:
    from flwr.cli.build import build_fab_from_disk

    house = shutil.copytree(FOLDER, tmp_path / "fab")
    for leak in ("leak.json", "notes.md", "x.py", "docs/more.md"):
        (house / leak).parent.mkdir(exist_ok=True)
        (house / leak).write_text("secret", encoding="utf-8")
    assert build_fab_from_disk(house) == bundle.fab()
    assert len(bundle.fab_hash()) == 64


def test_the_bytes_are_fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    first = bundle.fab()
    bundle.fab.cache_clear()
    assert bundle.fab() == first
