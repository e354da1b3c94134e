"""Headers of every answer, and which addresses stay within this machine."""

from __future__ import annotations

import ipaddress


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
