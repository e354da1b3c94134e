"""nginx reads revocations and certificates when it starts or is told to: it is told here."""

from __future__ import annotations

import logging
import os
import signal
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from daemons.status import ServiceStatus, read_status
from server.flower import nginx
from server.home import ServerPaths
from server.registry.alarm_shelf import AlarmShelf

LOG = logging.getLogger("keeper")
REFUSED = "nginx-refused"
EXPIRY = "certificate-expiry"
_READ = ("site.crl", "site-ca.crt", "server.crt", "server.key", "loop-ca.crt")
_DATED = ("server.crt", "loop.crt", "site-ca.crt")
_WARNING = timedelta(days=30)


@dataclass(slots=True)
class Front:
    """The one port that sites reach.

    Attributes:
        home: of the server.
        again: seconds between two attempts with files that nginx refuses.
    """

    home: Path
    again: float = 60.0
    _refused: float = 0.0

    def follow(self, alarms: AlarmShelf) -> None:
        """Reload nginx if a file that it has read is another one now; it cuts every stream once."""
        paths = ServerPaths(self.home)
        service = next((s for s in read_status(paths.run).services if s.name == "nginx"), None)
        if service is None or service.pid is None or not self._newer(service):
            return
        if self._refused and time.monotonic() - self._refused < self.again:
            return
        if not nginx.accepted(self.home):  # a bad reload would answer what kills a SuperNode
            self._refused = time.monotonic()
            alarms.sound(REFUSED, "nginx refuses its files; the earlier ones are still in use")
            LOG.warning("nginx -t refuses what lies in pki/; not reloaded")
            return
        self._refused = 0.0
        self._mark().touch()  # before: what changes from now on is newer
        os.kill(service.pid, signal.SIGHUP)
        alarms.clear(REFUSED)
        LOG.info("nginx reloaded: certificates or revocations changed")

    def _newer(self, service: ServiceStatus) -> bool:
        """Whether a file changed since nginx started or was last told to reload."""
        pki = ServerPaths(self.home).pki
        read = datetime.fromisoformat(service.since).timestamp()
        if self._mark().exists():
            read = max(read, self._mark().stat().st_ctime)
        # a file that replaces another keeps the time it was written at; ctime is the replacement's
        return any((pki / name).stat().st_ctime > read for name in _READ)

    def _mark(self) -> Path:
        return ServerPaths(self.home).run / "nginx.reloaded"

    def warn(self, alarms: AlarmShelf, at: datetime | None = None) -> None:
        """Raise or clear the alarm for what expires within a month."""
        pki, at = ServerPaths(self.home).pki, at or datetime.now(UTC)
        ends = {name: _until(pki / name) for name in (*_DATED, "site.crl")}
        soon = {name: end for name, end in ends.items() if end - at < _WARNING}
        if not soon:
            alarms.clear(EXPIRY)
            return
        words = ", ".join(f"{name} on {end:%Y-%m-%d}" for name, end in sorted(soon.items()))
        alarms.sound(EXPIRY, f"expires: {words}; after that no site can reach the server")


def _until(file: Path) -> datetime:
    block = file.read_bytes()
    if file.suffix == ".crl":
        until = x509.load_pem_x509_crl(block).next_update_utc
        return until or datetime.max.replace(tzinfo=UTC)
    return x509.load_pem_x509_certificate(block).not_valid_after_utc
