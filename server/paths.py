"""Where everything lies in a server's home."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


class HomeError(ValueError):
    """A home that cannot be opened, in one sentence."""


@dataclass(frozen=True, slots=True)
class ServerPaths:
    """Where everything lies in a server's home."""

    home: Path

    @property
    def config(self) -> Path:
        """`server.toml`."""
        return self.home / "server.toml"

    @property
    def registry(self) -> Path:
        """`registry.db`: what the server's processes share."""
        return self.home / "registry.db"

    @property
    def pki(self) -> Path:
        """Folder (0700). `server-ca.{crt,key}` signs `server.{crt,key}`, which nginx shows;
        `site-ca.{crt,key}` signs sites and nothing else, `site.crl` revokes them;
        `loop-ca.crt`, `loop.{crt,key}` are SuperLink's own on loopback (SAN localhost, 127.0.0.1);
        `heads.{key,pub}` (Ed25519) countersign audit heads; `superexec.secret`. All PEM.
        """
        return self.home / "pki"

    @property
    def studies(self) -> Path:
        """Folder of the studies' folders."""
        return self.home / "studies"

    @property
    def flower(self) -> Path:
        """Folder: `state.db` of the SuperLink, `home` (FLWR_HOME) of the operator's commands."""
        return self.home / "flower"

    @property
    def run(self) -> Path:
        """Folder of what lives as long as the daemon: lock, status, `coord.sock`, `nginx.conf`.

        Children start with the home as their folder and name the socket `run/coord.sock`: a full
        path may be longer than a socket's name may be.
        """
        return self.home / "run"

    @property
    def logs(self) -> Path:
        """Folder of the children's logs."""
        return self.home / "logs"


def check_home(home: Path) -> None:
    """Refuse a folder in which no server lives.

    Raises:
        HomeError: none does.
    """
    if not ServerPaths(home).config.is_file():
        raise HomeError(
            f"{home}: server.toml is missing; accepted is a server's home, which "
            "`wardround-server init` makes"
        )
