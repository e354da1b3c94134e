"""The way to the server: one channel per attempt, and what its failures mean in words."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass

import grpc
import grpc.aio

from client.home import Deployment
from client.paths import HomePaths
from daemons.proxy import Proxy

METHOD = "/wardround.v1.Coordination/Attend"

_CLIENT: Sequence[tuple[str, int]] = (
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),  # without it a frozen peer is noticed after 70 s
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),  # an attempt inherits nothing of the one before
    ("grpc.service_config_disable_resolution", 1),  # asks no name server for more than the address
    ("grpc.max_receive_message_length", 2 << 20),
)
_TELLING = 1.0  # seconds
_PROXIES = ("http_proxy", "https_proxy", "grpc_proxy", "no_proxy", "no_grpc_proxy", "all_proxy")
_PREFIXES = ("grpc_address_http_proxy",)

_SLOW = frozenset(
    {
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)
_WORDS = {
    grpc.StatusCode.UNAUTHENTICATED: "the server does not accept this site's certificate",
    grpc.StatusCode.PERMISSION_DENIED: "the server does not know this site, or has revoked it",
    grpc.StatusCode.FAILED_PRECONDITION: "the server does not speak with this version",
    grpc.StatusCode.INVALID_ARGUMENT: "the server did not understand this site: compare versions",
    grpc.StatusCode.UNIMPLEMENTED: "what answers there is no wardround server",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "the server says that this site says too much",
    grpc.StatusCode.ABORTED: "the server ended the stream",
    grpc.StatusCode.UNAVAILABLE: "the server cannot be reached",
}
_HINTS = (  # what a transport failure is about, by what the library says of it
    ("proxy returned response code 407", "the proxy asks for another user or password"),
    ("proxy returned response code", "the proxy does not let this site through"),
    ("certificate_verify_failed", "the server's certificate is not of the CA in this site's kit"),
    ("peer name", "the server's certificate is for another address"),
    ("hostname", "the server's certificate is for another address"),
    ("handshake", "the server and this site agreed on no TLS connection"),
    ("dns resolution failed", "the server's name is not known here"),
    ("connection refused", "nothing listens at the server's address"),
)


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt or a stream ended.

    Attributes:
        words: ours; nothing that another library said.
        slow: trying again soon would be of no use.
    """

    words: str
    slow: bool = False


def forget_environment() -> None:
    """Drop every proxy setting of the environment: only the site's own configuration counts."""
    for name in list(os.environ):
        if name.lower() in _PROXIES or name.lower().startswith(_PREFIXES):
            del os.environ[name]


def channel(paths: HomePaths, deployment: Deployment) -> grpc.aio.Channel:
    """A fresh channel with the site's certificate, through its proxy where it has one.

    Raises:
        OSError: a key or certificate is missing.
        ValueError: the proxy is none.
    """
    credentials = grpc.ssl_channel_credentials(
        root_certificates=(paths.kit / "server-ca.crt").read_bytes(),
        private_key=(paths.keys / "coordination.key").read_bytes(),
        certificate_chain=(paths.kit / "site.crt").read_bytes(),
    )
    proxy = Proxy.parse(deployment.proxy)
    way: tuple[str, str | int] = ("grpc.enable_http_proxy", 0)
    if proxy is not None:
        way = ("grpc.http_proxy", proxy.url)
    return grpc.aio.secure_channel(deployment.server, credentials, options=[*_CLIENT, way])


async def why_not(channel: grpc.aio.Channel) -> Ending | None:
    """Wait until the channel stands; None once it does, else why not. Nothing is said on it yet."""
    state = channel.get_state(try_to_connect=True)
    while state is not grpc.ChannelConnectivity.READY:
        if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            return await _why(channel)
        await channel.wait_for_state_change(state)
        state = channel.get_state(try_to_connect=True)
    return None


async def _why(channel: grpc.aio.Channel) -> Ending:
    """What a call says that cannot begin: only a call is told why there is no connection."""
    call = channel.stream_stream(METHOD, bytes, bytes)(None)
    try:
        code = await asyncio.wait_for(call.code(), _TELLING)
        return ending(code, await call.details() or "")
    except TimeoutError:  # it could begin after all
        return ending(grpc.StatusCode.UNAVAILABLE, "")
    finally:
        call.cancel()


def ending(code: grpc.StatusCode, details: str) -> Ending:
    """What a call's end means, for the admin."""
    if code is grpc.StatusCode.UNAVAILABLE:
        said = details.lower()
        for hint, words in _HINTS:
            if hint in said:
                return Ending(words)
    return Ending(_WORDS.get(code, "the stream was cut"), code in _SLOW)
