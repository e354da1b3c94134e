"""`wardround-server sites`: add, list, kit, renew, revoke."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daemons.terminal import Format, Home, check_format, check_place, print_json

if TYPE_CHECKING:
    from daemons.joining import Kit
    from server.registry.registry import Registry

app = typer.Typer(help="Sites: let in, renew, revoke.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The site's name.")]
RequestFile = Annotated[Path, typer.Argument(help="request.json, as the site's admin sent it.")]
Out = Annotated[Path, typer.Option(help="Where to write the kit; must not exist.")]
Heard = Annotated[
    str, typer.Option("--fingerprint", help="The request's, as its admin read it out.")
]


@app.command()
def add(
    name: Name, request: RequestFile, home: Home, out: Out, heard: Heard = "", form: Format = "text"
) -> None:
    """Let a site in: sign its request, write its kit. Other sites notice nothing."""
    _sign(home, (name, request), (out, heard, form), renewal=False)


@app.command()
def renew(
    name: Name, request: RequestFile, home: Home, out: Out, heard: Heard = "", form: Format = "text"
) -> None:
    """Sign a newer request of a site; its old certificate serves until it expires."""
    _sign(home, (name, request), (out, heard, form), renewal=True)


@app.command()
def kit(name: Name, home: Home, out: Out, form: Format = "text") -> None:
    """Write a site's kit again."""
    from server.home import ServerPaths
    from server.joining import kit_of

    check_format(form)
    _check_out(out)
    with _registry(home) as registry:
        _tell(kit_of(ServerPaths(home), registry, name), out, form)


@app.command()
def revoke(name: Name, home: Home, form: Format = "text") -> None:
    """Shut a site out; its keys never come back, its name may with new ones."""
    from server import joining
    from server.home import ServerPaths

    check_format(form)
    with _registry(home) as registry:
        before = joining.revoke(ServerPaths(home), registry, name, datetime.now(UTC))
    if form == "json":
        print_json({"format": 1, "name": name, "state": "revoked", "before": before.state})
        return
    print(f"{name}: revoked" if before.active else f"{name}: was revoked already")


@app.command(name="list")
def list_sites(home: Home, form: Format = "text") -> None:
    """Show every site: state, certificate, node, and whether it is there."""
    from server.registry.presence_shelf import PresenceShelf
    from server.registry.site_shelf import SiteShelf

    check_format(form)
    with _registry(home) as registry:
        sites = SiteShelf(registry.connection).all()
        there = PresenceShelf(registry.connection).all()
    at = datetime.now(UTC)
    rows = [
        {
            "name": site.name,
            "number": site.number,
            "state": site.state,
            "not_after": site.not_after,
            "days_left": (datetime.fromisoformat(site.not_after) - at) // timedelta(days=1),
            "node": site.node,
            "online": site.active and site.name in there and there[site.name].online,
            "node_online": there[site.name].node_online if site.name in there else None,
        }
        for site in sites
    ]
    if form == "json":
        print_json({"format": 1, "sites": rows})
        return
    _print_table(rows)


def _print_table(rows: Sequence[Mapping[str, object]]) -> None:
    if not rows:
        print("no site has joined")
        return
    head = ("number", "name", "state", "expires", "days left", "node", "online")
    lines = [head]
    for row in rows:
        expires = str(row["not_after"])[:10]
        online = "yes" if row["online"] else "no"
        node = "-" if row["node"] is None else str(row["node"])
        left = int(str(row["days_left"]))
        state = "expired" if row["state"] == "active" and left < 0 else str(row["state"])
        known = (str(row["number"]), str(row["name"]), state)
        lines.append((*known, expires, str(left), node, online))
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    for line in lines:
        print("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip())


def _sign(
    home: Path, asked: tuple[str, Path], told: tuple[Path, str, str], *, renewal: bool
) -> None:
    from daemons.fingerprints import compare_by_telephone
    from daemons.joining import read_request
    from server.home import ServerPaths
    from server.joining import admit, examine

    (name, file), (out, heard, form) = asked, told
    check_format(form)
    _check_out(out)
    request = read_request(file)
    with _registry(home) as registry:
        examine(registry, name, request, renewal=renewal)
        compare_by_telephone("the request", request.fingerprint, heard)
        at = datetime.now(UTC)
        _tell(admit(ServerPaths(home), registry, request, at, renewal=renewal), out, form)


def _tell(kit: Kit, out: Path, form: str) -> None:
    """Write the kit, and say what its receiver compares."""
    from daemons.joining import as_file
    from protocol.files import replace_file

    replace_file(out, as_file(kit), sync=True)
    if form == "json":
        said = {"name": kit.name, "number": kit.number, "not_after": kit.not_after}
        print_json({"format": 1, "kit": str(out), "fingerprint": kit.fingerprint, **said})
        return
    print(f"{out}: the kit of {kit.name} (number {kit.number}), good until {kit.not_after[:10]}")
    print(f"its fingerprint, to read out by telephone: {kit.fingerprint}")
    print(f"next, at the site: wardround-site join {out.name}")


def _check_out(out: Path) -> None:
    """Refuse before anything is signed what could not be written after."""
    if out.exists():
        raise ValueError(f"{out} exists already; accepted is a new file")
    check_place(out)


@contextmanager
def _registry(home: Path) -> Iterator[Registry]:
    from server.home import ServerPaths, read_config
    from server.registry.registry import Registry

    read_config(home)  # says best what is not a home
    registry = Registry.open(ServerPaths(home).registry)
    try:
        yield registry
    finally:
        registry.close()
