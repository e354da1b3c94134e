"""`wardround-site privacy`: what studies spent of the patients' privacy here, and what is left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemons.terminal import Format, Home, check_format, print_json

if TYPE_CHECKING:
    from client.store.store import SiteStore

app = typer.Typer()


@app.command()
def privacy(
    home: Home,
    study: Annotated[
        str, typer.Argument(help="Identity of a study, or how it begins; all without it.")
    ] = "",
    form: Format = "text",
) -> None:
    """What studies spent of the patients' privacy, what is left, and what each thing cost."""
    from client.home import open_store, read_config
    from client.privacy.words import text

    check_format(form)
    config = read_config(home)
    store = open_store(home, durable=config.durable)
    try:
        told = [_told(store, identity) for identity in _wanted(store, study)]
    finally:
        store.close()
    if form == "json":
        print_json({"format": 1, "studies": told})
    elif told:
        print("\n\n".join(text(one) for one in told))
    else:
        print("No private study has spent anything here.")


def _wanted(store: SiteStore, begin: str) -> list[str]:
    found = [identity for identity in store.privacy.studies() if identity.startswith(begin)]
    if begin and not found:
        there = ", ".join(i[:12] for i in store.privacy.studies())
        raise ValueError(
            f"no study that begins with {begin!r} has a privacy account here; "
            + (f"accepted is one of {there}" if there else "there is no such account yet")
        )
    return found


def _told(store: SiteStore, identity: str) -> dict[str, Any]:
    """Also of a study that is paused or withdrawn: what is spent stays spent."""
    import json

    from client.privacy.account import PrivacyAccount
    from client.privacy.words import document
    from protocol.study import parse

    row = store.connection.execute(
        "SELECT document FROM studies WHERE identity = ?", (identity,)
    ).fetchone()
    study = parse(json.loads(row[0]))
    if study.privacy is None:
        raise ValueError(f"study {identity[:12]} is not private")
    return document(PrivacyAccount(store, identity, study.privacy), study)
