"""The files of a case, as a site's own admin knows them; only for who asks for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from client.home import read_config
from client.patients import site_key
from client.sources.seal import Seal
from client.sources.source import Locator
from client.store.export_shelf import ExportShelf
from client.store.store import SiteStore


def files_of(home: Path, store: SiteStore, keys: Sequence[str]) -> Mapping[str, list[str]]:
    """The files of each of these cases, absolute; what is a row of a larger file says which.

    Raises:
        SourceError: a locator that this site's secret does not open.
    """
    rows = {key: row for key, (_, _, row) in ExportShelf(store.connection).cases([*keys]).items()}
    images = read_config(home).images
    if images:
        return {key: [f"{(home / images).resolve()}#{row}"] for key, row in rows.items()}
    seal = Seal(site_key(home))
    places = store.locators.of_rows([*rows.values()])
    return {
        key: names(seal.open(places[row].located.sealed, key)) if row in places else []
        for key, row in rows.items()
    }


def names(locator: Locator) -> list[str]:
    """Where a case's pixels are, in words that other tools understand."""
    root = str(locator["root"])
    if locator["kind"] == "dicomweb":
        return [f"{root}/studies/{locator['study']}/series/{locator['series']}"]
    if locator["kind"] == "array":
        return [f"{root}/{locator['files'][0]}#{locator['member']}[{locator['index']}]"]
    inside = [one if isinstance(one, str) else one[0] for one in locator["files"]]
    return [str(Path(root) / name) for name in inside]
