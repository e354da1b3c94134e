"""Where everything lies in a site's home."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class HomePaths:
    """Where everything lies in a real site's home. Only `keys` and the database are secret."""

    home: Path

    @property
    def config(self) -> Path:
        """`site.toml`."""
        return self.home / "site.toml"

    @property
    def database(self) -> Path:
        """`site.db`."""
        return self.home / "site.db"

    @property
    def keys(self) -> Path:
        """Folder (0700): `node` and `node.pub` (EC P-384, OpenSSH, for Flower), `coordination.key`
        (EC P-256, PEM, for mutual TLS), `site.secret` (32 bytes, for case keys), `runtime.secret`.
        """
        return self.home / "keys"

    @property
    def request(self) -> Path:
        """`request.json`: what the server's admin signs; holds public keys only."""
        return self.home / "request.json"

    @property
    def kit(self) -> Path:
        """Folder: `kit.json`, and from it `server-ca.crt`, `site.crt`, `heads.pub` (PEM)."""
        return self.home / "kit"

    @property
    def run(self) -> Path:
        """Folder of what lives as long as the daemon: lock, status, beats, requests."""
        return self.home / "run"

    @property
    def logs(self) -> Path:
        """Folder of the children's logs."""
        return self.home / "logs"

    @property
    def flower(self) -> Path:
        """FLWR_HOME of the site's Flower processes."""
        return self.home / "flower"

    @property
    def launchers(self) -> Path:
        """Folder of the programs that Flower starts by name; made anew at every start."""
        return self.run / "bin"

    @property
    def beat(self) -> Path:
        """A file touched whenever the SuperNode has reached the server."""
        return self.run / "supernode.beat"

    @property
    def attendance(self) -> Path:
        """`attendance.json`: how the stream to the server is."""
        return self.run / "attendance.json"

    @property
    def trouble(self) -> Path:
        """`supernode.json`: why the SuperNode does not reach the server; not there if it does."""
        return self.run / "supernode.json"

    @property
    def cache(self) -> Path:
        """Folder of pixels read from the hospital's own sources; may be emptied at any time."""
        return self.home / "cache"
