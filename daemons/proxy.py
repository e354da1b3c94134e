"""A hospital's HTTP CONNECT proxy on the way out."""

from __future__ import annotations

import base64
import re
import socket
from dataclasses import dataclass, field
from urllib.parse import quote

_MOST_HEAD = 16384


class ProxyRefused(OSError):
    """The proxy answered and did not connect.

    Attributes:
        status: of its HTTP answer; 0 if it was none.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"the proxy answered {status}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where the proxy is, and who we are to it.

    Attributes:
        host: its name or address.
        port: its port.
        user: "" if it asks for none.
        password: never shown.
    """

    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)

    @staticmethod
    def parse(text: str) -> Proxy | None:
        """The proxy of [user:password@]host:port; None for "".

        Raises:
            ValueError: it is not of that form. The password is not in the message.
        """
        if not text:
            return None
        credentials, _, address = text.rpartition("@")
        user, _, password = credentials.partition(":")
        found = re.fullmatch(r"\[?([0-9A-Za-z.:_-]+?)\]?:([0-9]{1,5})", address)
        if not found or not 0 < int(found[2]) < 65536:
            raise ValueError("the proxy: accepted is [user:password@]host:port")
        return Proxy(found[1], int(found[2]), user, password)

    @property
    def address(self) -> str:
        """host:port, without who we are."""
        return _joined(self.host, self.port)

    @property
    def url(self) -> str:
        """As programs take it, with who we are: secret."""
        who = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}@" if self.user else ""
        return f"http://{who}{self.address}"

    def connect(self, host: str, port: int, timeout: float) -> socket.socket:
        """A connection through the proxy.

        Raises:
            ProxyRefused: the proxy said no.
            OSError: there is no proxy, or it fell silent.
        """
        connection = socket.create_connection((self.host, self.port), timeout)
        try:
            connection.sendall(self._request(_joined(host, port)))
            status = _status(connection)
            if not 200 <= status < 300:
                raise ProxyRefused(status)
        except BaseException:
            connection.close()
            raise
        return connection

    def _request(self, target: str) -> bytes:
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
        if self.user:
            plain = f"{self.user}:{self.password}".encode()
            lines.append(f"Proxy-Authorization: Basic {base64.b64encode(plain).decode()}")
        return "\r\n".join([*lines, "", ""]).encode()


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _status(connection: socket.socket) -> int:
    """Read the answer's head, byte by byte: what follows it belongs to the server."""
    head = b""
    while not head.endswith(b"\r\n\r\n") and len(head) < _MOST_HEAD:
        byte = connection.recv(1)
        if not byte:
            break
        head += byte
    found = re.match(rb"HTTP/1\.[01] (\d{3})", head)
    return int(found[1]) if found else 0
