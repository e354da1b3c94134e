"""The reading room's TLS: none on loopback, a certificate of the hospital's own elsewhere."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from client.home import Deployment, HomeError
from daemons.web.headers import on_loopback


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
