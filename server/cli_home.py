"""`wardround-server init` and `certify`: the server's home and its own certificate."""

from __future__ import annotations

from typing import Annotated

import typer

from daemons.terminal import Format, Home, check_format, print_json

app = typer.Typer()


@app.command()
def init(
    home: Home,
    address: Annotated[str, typer.Option(help="host:port that sites dial.")],
    listen: Annotated[str, typer.Option(help="address:port where nginx listens.")] = "0.0.0.0:443",
    asked_by: Annotated[
        str, typer.Option(help="The study lead, as sites read it in a study's plan.")
    ] = "the study lead",
    form: Format = "text",
) -> None:
    """Make a server's home: keys, certificates, registry, configuration."""
    from datetime import UTC, datetime

    from daemons.joining import split_address
    from server.home import HomeConfig
    from server.keys import make_server

    check_format(form)
    split_address(listen)
    if not asked_by.isprintable() or not 0 < len(asked_by) <= 120:
        raise ValueError("--asked-by: accepted is a name on one line, at most 120 letters")
    config = HomeConfig(address=address, listen=listen, asked_by=asked_by)
    make_server(home, config, datetime.now(UTC))
    if form == "json":
        print_json({"format": 1, "home": str(home), "address": address})
        return
    print(f"{home}: ready; sites will dial {address}")
    print("next: wardround-server preflight and start, then sites add NAME REQUEST --out KIT")


@app.command()
def certify(
    home: Home,
    address: Annotated[
        str, typer.Option(help="host:port that sites dial from now on; unchanged without.")
    ] = "",
    form: Format = "text",
) -> None:
    """Sign the server's own certificate anew, for 10 years; a running daemon takes it up itself."""
    from datetime import UTC, datetime

    from daemons.certificates import days_left
    from server import keys
    from server.home import ServerPaths, read_config

    check_format(form)
    keys.certify(home, address, datetime.now(UTC))
    days = days_left(ServerPaths(home).pki / "server.crt")
    dialled = read_config(home).address
    if form == "json":
        print_json({"format": 1, "address": dialled, "days_left": days})
        return
    print(f"certificate for {dialled}: {days} days left")
    if address:
        print("sites that joined dial the old address until they join a kit of `sites kit`")
