"""A site's home with cases of three patients, and its commands, called as a person types them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.cli import main
from client.home import make_home, open_store, read_config
from client.joining import make_site
from client.patients import site_key
from client.receiving import keep
from client.site import Arrival, enrol
from client.store.offer_shelf import Offer
from client.store.store import SiteStore
from protocol.study import Study, document

PATIENTS = ("Doe^Jane", "Doe^Jane", "Roe^Rick", "Poe^Pia")


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Home:
    """A site's home, its open database, and the way to type its commands."""

    folder: Path
    store: SiteStore
    say: Callable[..., Said]

    def offer(self, study: Study, wrong: str = "", **changes: Any) -> Offer:
        """Let a study ask to run here."""
        at = "2026-01-05T08:00:00+00:00"
        text = json.dumps(document(study))
        offer = Offer(study.identity, text, "a" * 64, "Ann", 3, 6178, "0.1.0", at)
        offer = Offer(**{**{n: getattr(offer, n) for n in offer.__slots__}, **changes})
        with self.store.transaction():
            keep(self.store, offer, study, wrong)
        return offer

    def events(self) -> list[tuple[str, str]]:
        rows = self.store.connection.execute("SELECT event, words FROM audit ORDER BY line")
        return [(str(event), str(words)) for event, words in rows]


@pytest.fixture
def say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Said]:
    """Types a `wardround-site` command; its exit code and what it printed."""

    def one(*words: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["wardround-site", *words, "--home", str(tmp_path / "n")])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        heard = capsys.readouterr()
        return Said(code, heard.out, heard.err)

    return one


@pytest.fixture
def home(tmp_path: Path, say: Callable[..., Said]) -> Iterator[Home]:
    """Four cases of three patients, their pixels in the home."""
    folder = tmp_path / "n"
    make_site(folder, "north")
    np.save(folder / "i.npy", np.full((4, 1, 8, 8), 7, np.uint8))
    make_home(folder, read_config(folder).model_copy(update={"images": "i.npy"}))
    store = open_store(folder)
    names = [f"image-{row}" for row in range(4)]
    arrival = Arrival(names, PATIENTS, ["pool"] * 4, range(4))
    enrol(store, site_key(folder), arrival, clustered=True)
    yield Home(folder, store, say)
    store.close()
