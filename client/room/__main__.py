"""`python -m client.room --home H`: serve the reading room on the address that the home names."""

from __future__ import annotations

import argparse
import socket
import ssl
import sys
from pathlib import Path
from typing import Any

from client.home import Deployment, HomeError, read_config
from daemons.terminal import fail
from daemons.web.headers import on_loopback

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


def encryption(home: Path, deployment: Deployment) -> dict[str, Any]:
    """What uvicorn is told of TLS; nothing on loopback where no certificate is set.

    Raises:
        HomeError: the room would be open to the network without TLS, or the pair does not fit.
    """
    host = deployment.room.rpartition(":")[0]
    certificate, key = deployment.room_certificate, deployment.room_key
    if bool(certificate) != bool(key):
        raise HomeError("deployment.room_certificate and room_key: accepted are both or neither")
    if not certificate:
        if not on_loopback(host):
            raise HomeError(
                f"deployment.room = {deployment.room!r} without a certificate; accepted is an "
                "address on loopback, or room_certificate and room_key"
            )
        return {}
    files = {"ssl_certfile": str(home / certificate), "ssl_keyfile": str(home / key)}
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*files.values())
    except (OSError, ssl.SSLError):
        raise HomeError(
            "deployment.room_certificate and room_key cannot be used; accepted are PEM files of "
            "a certificate and its key"
        ) from None
    return files


if __name__ == "__main__":
    main()
