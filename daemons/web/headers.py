"""Headers of every answer, and which addresses stay within this machine."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, TypeAlias

Message: TypeAlias = MutableMapping[str, Any]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Served: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]


class Headed:
    """An ASGI application with the same headers on every answer, refusals of a framework too."""

    def __init__(self, app: Served, headers: Mapping[str, str]) -> None:
        self.app = app
        self.headers = [(n.lower().encode(), v.encode()) for n, v in headers.items()]

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer, with the headers."""

        async def headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *self.headers]
            await send(message)

        await self.app(scope, receive, headed)


def headers(policy: str) -> dict[str, str]:
    """Headers that keep a page to itself.

    Args:
        policy: what besides nothing it may load, as Content-Security-Policy says it.
    """
    return {
        "Content-Security-Policy": f"default-src 'none'; {policy}; "
        "frame-ancestors 'none'; base-uri 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-store",
    }


def on_loopback(host: str) -> bool:
    """Whether nobody outside this machine can reach that address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
