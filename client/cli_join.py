"""`wardround-site` init, request, join, renew: how a hospital comes to take part."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daemons.terminal import Format, Home, check_format, print_json

if TYPE_CHECKING:
    from daemons.joining import Request

app = typer.Typer()


@app.command()
def init(
    name: Annotated[str, typer.Argument(help="The site's name: a to z, 0 to 9, hyphens.")],
    home: Home,
    form: Format = "text",
) -> None:
    """Make a site's home: its keys, which never leave, its database and its request."""
    from client.joining import make_site

    check_format(form)
    _tell_request(make_site(home, name), home, form)


@app.command()
def request(home: Home, form: Format = "text") -> None:
    """Show the newest request and its fingerprint again."""
    from client.joining import request_of

    check_format(form)
    _tell_request(request_of(home), home, form)


@app.command()
def renew(home: Home, form: Format = "text") -> None:
    """Make a fresh key and request; the old ones serve until the new kit is joined."""
    from client import joining

    check_format(form)
    _tell_request(joining.renew(home), home, form)


@app.command()
def join(
    kit: Annotated[Path, typer.Argument(help="The kit that the server's admin sent back.")],
    home: Home,
    heard: Annotated[
        str, typer.Option("--fingerprint", help="The kit's, as the server's admin read it out.")
    ] = "",
    yes: Annotated[
        bool, typer.Option("--yes", help="The fingerprint was compared already.")
    ] = False,
    another_server: Annotated[
        bool, typer.Option("--another-server", help="Leave the server joined before for this one.")
    ] = False,
    form: Format = "text",
) -> None:
    """Compare a kit's fingerprint, check it, and install it: all of it or nothing."""
    from datetime import UTC, datetime

    from client import joining
    from client.paths import HomePaths
    from daemons.certificates import days_left
    from daemons.fingerprints import compare_by_telephone
    from daemons.joining import read_kit

    check_format(form)
    at = datetime.now(UTC)
    found = read_kit(kit)
    joining.check_kit(home, found, at)
    compare_by_telephone("the kit", found.fingerprint, heard, agreed=yes)
    joining.join(home, found, at, another_server=another_server)
    joining.tell_daemon(home)
    left = days_left(HomePaths(home).kit / "site.crt", at)
    if form == "json":
        said = {"name": found.name, "number": found.number, "server": found.server}
        said |= {"not_after": found.not_after, "days_left": left}
        print_json({"format": 1, "fingerprint": found.fingerprint, **said})
        return
    print(f"{found.name} has joined {found.server} (kit {found.fingerprint})")
    print(f"its certificate is good until {found.not_after[:10]}, {left} days")
    print("next: wardround-site preflight, then wardround-site start")


def _tell_request(request: Request, home: Path, form: str) -> None:
    from client.paths import HomePaths

    file = HomePaths(home).request
    if form == "json":
        said = {"name": request.name, "request": str(file), "fingerprint": request.fingerprint}
        print_json({"format": 1, **said})
        return
    print(f"{file}: to be sent to the server's admin; it holds public keys only")
    print(f"its fingerprint, to read out by telephone: {request.fingerprint}")
    print("next: wardround-site join KIT, with the kit that the server's admin sends back")
