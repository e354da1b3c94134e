"""Whether a server can be reached, and whether it is the server: names, ports, proxies, TLS."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from daemons.preflight import Found, Probe, fail, ok, warn
from daemons.proxy import Proxy, ProxyRefused

_HOSTNAME, _ADDRESS = 62, 64  # OpenSSL: X509_V_ERR_HOSTNAME_MISMATCH, _IP_ADDRESS_MISMATCH
_EXPIRED, _EARLY = 10, 9  # X509_V_ERR_CERT_HAS_EXPIRED, _NOT_YET_VALID
_SOON = 30  # days


@dataclass(frozen=True, slots=True)
class Road:
    """The way from here to a server.

    Attributes:
        host: the server's name or address.
        port: its port.
        authority: file with the certificate that must have signed the server's.
        proxy: on the way; None for none.
        timeout: seconds for each step.
    """

    host: str
    port: int
    authority: Path
    proxy: Proxy | None = None
    timeout: float = 5.0

    @property
    def target(self) -> str:
        """host:port of the server."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def connect(self) -> socket.socket:
        """A connection, through the proxy if there is one.

        Raises:
            OSError: there is none to be had.
        """
        if self.proxy:
            return self.proxy.connect(self.host, self.port, self.timeout)
        return socket.create_connection((self.host, self.port), self.timeout)


def road_probes(road: Road) -> list[Probe]:
    """Name, port, TLS: each says nothing where the one before failed."""
    return [
        Probe("name", lambda: check_name(road)),
        Probe("port", lambda: check_port(road), needs=("name",)),
        Probe("tls", lambda: check_tls(road), needs=("name", "port")),
    ]


def check_name(road: Road) -> Found:
    """Whether the name that we dial is known here: the proxy's, where there is one."""
    host = road.proxy.host if road.proxy else road.host
    which = "proxy" if road.proxy else "server"
    try:
        ipaddress.ip_address(host)
        return ok(f"the {which} is an address, {host}")
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        mend = f"correct the {which}'s name, or have {host} entered in this network's DNS"
        return fail(f"the {which}'s name {host} is not known here", mend)
    return ok(f"{host} is {', '.join(sorted({str(entry[4][0]) for entry in found}))}")


def check_port(road: Road) -> Found:
    """Whether a connection comes about, through the proxy if there is one."""
    begun = time.monotonic()
    try:
        road.connect().close()
    except ProxyRefused as refusal:
        return _proxy_said(road, refusal.status)
    except OSError as error:
        return _unreached(road, error)
    through = f" through the proxy {road.proxy.address}" if road.proxy else ""
    return ok(f"{road.target} reached{through} in {1000 * (time.monotonic() - begun):.0f} ms")


def _unreached(road: Road, error: OSError) -> Found:
    far = road.proxy.address if road.proxy else road.target
    mend = f"have outbound TCP from this machine to {far} allowed"
    if isinstance(error, TimeoutError):
        return fail(f"{far} does not answer within {road.timeout:.0f} s", mend)
    if isinstance(error, ConnectionRefusedError):
        whose = "the proxy" if road.proxy else "the server"
        return fail(f"{far} refuses connections", f"see that {whose} runs, or {mend}")
    return fail(f"{far} cannot be reached ({error.strerror or type(error).__name__})", mend)


def _proxy_said(road: Road, status: int) -> Found:
    assert road.proxy  # noqa: S101 - who else refused
    who = f"the proxy {road.proxy.address}"
    if status in (401, 407):  # tinyproxy says 401 to a wrong password
        mend = "write user:password@host:port as deployment.proxy into site.toml"
        return fail(f"{who} wants a user and a password, or other ones", mend)
    if status in (500, 502, 503, 504):  # tinyproxy says 500
        mend = f"see that the server runs, and that the proxy may reach {road.target}"
        return fail(f"{who} does not reach {road.target} (status {status})", mend)
    if status == 0:
        return fail(f"{who} does not answer as a proxy", "correct site.toml, deployment.proxy")
    mend = f"have CONNECT to {road.target} allowed at the proxy"
    return fail(f"{who} refuses CONNECT to {road.target} (status {status})", mend)


def check_tls(road: Road, at: datetime | None = None) -> Found:
    """Whether who answers is the server: its certificate is signed by the kit's authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cafile=road.authority)
    try:
        with (
            road.connect() as plain,
            context.wrap_socket(plain, server_hostname=road.host) as wrapped,
        ):
            until, version = _until(wrapped), wrapped.version()
    except ssl.SSLCertVerificationError as error:
        return _untrusted(road, error.verify_code)
    except (ssl.SSLError, ConnectionError, TimeoutError):
        mend = "see that the port is the server's, and that no firewall cuts TLS on the way"
        return fail(f"{road.target} answers, but not with TLS", mend)
    days = (until - (at or datetime.now(UTC))).days
    if days < _SOON:
        mend = "tell the server's admin: wardround-server certify"
        return warn(f"the server's certificate ends in {days} days", mend)
    return ok(f"{version}, signed as the kit says, {days} days left")


def _until(wrapped: ssl.SSLSocket) -> datetime:
    shown = wrapped.getpeercert() or {}
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(shown["notAfter"])), UTC)


def _untrusted(road: Road, code: int) -> Found:
    if code == _EXPIRED:
        mend = "the server's admin runs wardround-server certify; if not expired, correct the clock"
        return fail("the server's certificate has expired, by this machine's clock", mend)
    if code == _EARLY:
        mend = "switch on time synchronisation on this machine"
        return fail("the server's certificate is not yet valid, by this machine's clock", mend)
    if code in (_HOSTNAME, _ADDRESS):
        mend = "the server's admin runs wardround-server certify --address with the name sites dial"
        return fail(f"the server's certificate is not for {road.host}", mend)
    return fail(
        f"the certificate shown was signed by {_issuer(road)!r}, not as the kit says: "
        "something on the way opens the encryption, or the server was made anew",
        f"have {road.target} excepted from TLS inspection; if there is none, ask for a new kit",
    )


def _issuer(road: Road) -> str:
    """Who signed the certificate that is shown; for words only, nothing is trusted."""
    from cryptography import x509

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with road.connect() as plain, context.wrap_socket(plain, server_hostname=road.host) as tls:
            shown = x509.load_der_x509_certificate(tls.getpeercert(binary_form=True) or b"")
    except (OSError, ValueError):
        return "unknown"
    return "".join(c if c.isprintable() else "?" for c in shown.issuer.rfc4514_string())[:80]
