"""`python -m server.dashboard --home H`: serve the dashboard on the address that the home names."""

from __future__ import annotations

import argparse
import socket
import sys
from pathlib import Path
from typing import Any

import uvicorn

from daemons.terminal import fail
from daemons.web.headers import on_loopback
from server.dashboard.app import build
from server.home import HomeError, ServerPaths, read_config


def main() -> None:
    """Serve until told to stop: plain on loopback, elsewhere with TLS or not at all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", type=Path, required=True)
    home = parser.parse_args().home
    try:
        config = read_config(home)
    except HomeError as error:
        sys.exit(fail(str(error), 2, "wardround-server"))
    host, _, port = config.dashboard.rpartition(":")
    paths, outside = ServerPaths(home), not on_loopback(host)
    names = [host, "localhost", "127.0.0.1", config.address.rpartition(":")[0], socket.getfqdn()]
    pair = {"ssl_certfile": paths.pki / "server.crt", "ssl_keyfile": paths.pki / "server.key"}
    tls: dict[str, Any] = {key: str(path) for key, path in pair.items()}
    uvicorn.run(
        build(paths, names, secure=outside),
        host=host,
        port=int(port),
        log_level="warning",
        server_header=False,
        ws="none",
        **(tls if outside else {}),
    )


if __name__ == "__main__":
    main()
