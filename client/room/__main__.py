"""`python -m client.room --home H`: serve the reading room on the address that the home names."""

from __future__ import annotations

import argparse
import socket
import sys
from pathlib import Path

from client.home import Deployment, HomeError, read_config
from client.room.encryption import encryption
from daemons.terminal import fail

_INSIDE = ("localhost", "127.0.0.1", "[::1]")


def main() -> None:
    """Serve until told to stop: plain on loopback, elsewhere with TLS or not at all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", type=Path, required=True)
    home = parser.parse_args().home
    try:
        deployment = read_config(home).deployment or Deployment()
        host, _, port = deployment.room.rpartition(":")
        tls = encryption(home, deployment)
    except HomeError as error:
        sys.exit(fail(str(error), 2, "wardround-site"))
    import uvicorn

    from client.room.app import build
    from client.room.library import Library

    names = (host, *_INSIDE, socket.getfqdn(), *deployment.room_names)
    uvicorn.run(
        build(Library(home), names, secure=bool(tls)),
        host=host.strip("[]"),
        port=int(port),
        log_level="warning",
        access_log=False,  # it would name cases and readers
        server_header=False,
        ws="none",
        **tls,
    )


if __name__ == "__main__":
    main()
