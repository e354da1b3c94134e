"""The one connection of a SuperNode to the outside: the fleet API, by HTTPS, as the kit says.

Relies on internals of flwr 1.41, which tests hold: see `tests/client/test_flower_internals.py`.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from flwr.supernode.fleet_http_client import FleetHttpClient

from client.flower.trouble import Trouble
from client.flower.words import words_of_failure, words_of_status
from client.home import Deployment
from client.paths import HomePaths
from daemons.proxy import Proxy

_SECONDS = 30.0  # flwr's own
_BEAT_EVERY = 1.0


@dataclass(slots=True)
class Beat:
    """A file whose time of change says when the server was last reached."""

    file: Path
    last: float = 0.0

    def touch(self) -> None:
        """The server was reached; the file is touched at most once a second."""
        if time.monotonic() - self.last >= _BEAT_EVERY:
            self.file.touch()
            self.last = time.monotonic()


@dataclass(frozen=True, slots=True)
class Listening(httpx.BaseTransport):
    """A transport that notes how every request ended.

    Attributes:
        inner: does the work.
        beat: touched by every success.
        trouble: holds the reason of the last failure.
    """

    inner: httpx.BaseTransport
    beat: Beat
    trouble: Trouble

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The response of the server, or of what stands before it."""
        try:
            response = self.inner.handle_request(request)
        except httpx.TransportError as error:
            self.trouble.note(words_of_failure(error))
            raise
        if response.is_success:
            self.beat.touch()
            self.trouble.clear()
        else:
            response.read()
            self.trouble.note(words_of_status(response))
        return response

    def close(self) -> None:
        """Close the connections."""
        self.inner.close()


def proxy_of(deployment: Deployment) -> httpx.Proxy | None:
    """The hospital's proxy; None where there is none.

    Raises:
        ValueError: it is not of the form [user:password@]host:port.
    """
    proxy = Proxy.parse(deployment.proxy)
    if proxy is None:
        return None
    who = (proxy.user, proxy.password) if proxy.user else None
    return httpx.Proxy(f"http://{proxy.address}", auth=who)


def tls_of(paths: HomePaths) -> ssl.SSLContext:
    """Trusts the kit's certificate authority and no other, and shows the site's certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cafile=paths.kit / "server-ca.crt")
    context.load_cert_chain(paths.kit / "site.crt", paths.keys / "coordination.key")
    return context


def fleet_http(paths: HomePaths, deployment: Deployment) -> httpx.Client:
    """The HTTP client of the fleet API; nothing of the environment changes where it goes."""
    transport = httpx.HTTPTransport(
        verify=tls_of(paths), proxy=proxy_of(deployment), trust_env=False
    )
    listening = Listening(transport, Beat(paths.beat), Trouble(paths.trouble))
    return httpx.Client(
        transport=listening, timeout=_SECONDS, trust_env=False, follow_redirects=False
    )


@dataclass(frozen=True, slots=True)
class Fleet:
    """Stands where flwr looks for its `FleetHttpClient`.

    Attributes:
        connect: makes the HTTP client.
    """

    connect: Callable[[], httpx.Client]

    def from_server_address(
        self,
        server_address: str,
        insecure: bool,
        root_certificates: bytes | str | None,
        interceptors: Sequence[Any],
    ) -> FleetHttpClient:
        """Flwr's client of the fleet API over our HTTP client, and over no other."""
        if insecure:
            raise ValueError("a SuperNode without TLS was asked for; accepted is TLS")
        nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts no certificate at all
        client = FleetHttpClient(
            f"https://{server_address}", interceptors=interceptors, verify=nobody
        )
        client._client.close()  # the environment's proxies would apply to it
        client._client = self.connect()
        return client
