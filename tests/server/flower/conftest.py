"""A real server's home, sites' certificates for it, and its port."""

from __future__ import annotations

import os
import shutil
import signal
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp

import pytest

from daemons.certificates import (
    new_authority,
    pem,
    read_authority,
    read_signing_request,
    revocation_list,
    signing_request,
    site_certificate,
)
from daemons.ports import free_port, is_listening
from daemons.secrets import new_node_key, new_tls_key, private_pem, public_openssh
from server.flower.services import prepare
from server.home import HomeConfig, ServerPaths, read_config
from server.keys import make_server
from server.registry.registry import Registry
from server.registry.site_shelf import JoinedSite, Signed, SiteShelf


@dataclass(frozen=True)
class Pair:
    """A client certificate and its key, as files."""

    certificate: Path
    key: Path
    serial: int

    def context(self, paths: ServerPaths) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(paths.pki / "server-ca.crt"))
        context.load_cert_chain(self.certificate, self.key)
        return context


@dataclass
class House:
    """A server's home on loopback ports that were free a moment ago."""

    home: Path
    nginx: subprocess.Popen[bytes] | None = None

    @property
    def paths(self) -> ServerPaths:
        return ServerPaths(self.home)

    @property
    def config(self) -> HomeConfig:
        return read_config(self.home)

    @property
    def port(self) -> int:
        return int(self.config.listen.rpartition(":")[2])

    def pair(self, name: str, *, foreign: bool = False) -> Pair:
        """A site's certificate; a foreign one is signed by an authority that is not ours."""
        now, key = datetime.now(UTC), new_tls_key()
        authority = read_authority(self.paths.pki / "site-ca.crt", self.paths.pki / "site-ca.key")
        if foreign:
            authority = new_authority("wardround sites", now)
        request = read_signing_request(signing_request(key, name), name)
        certificate = site_certificate(authority, request, now)
        stem = f"{name}-{'foreign' if foreign else 'own'}"
        files = Path(mkdtemp(dir=self.home))
        (files / f"{stem}.crt").write_bytes(pem(certificate))
        (files / f"{stem}.key").write_bytes(private_pem(key))
        return Pair(files / f"{stem}.crt", files / f"{stem}.key", certificate.serial_number)

    def revoke(self, *serials: int) -> None:
        now = datetime.now(UTC)
        authority = read_authority(self.paths.pki / "site-ca.crt", self.paths.pki / "site-ca.key")
        block = pem(revocation_list(authority, [(serial, now) for serial in serials], now))
        fresh = self.paths.pki / ".fresh"
        fresh.write_bytes(block)
        fresh.rename(self.paths.pki / "site.crl")

    def join(self, name: str, number: int = 0) -> str:
        """A site in the registry; its node key."""
        key = public_openssh(new_node_key().public_key())
        at = "2090-01-01T00:00:00+00:00"
        site = JoinedSite(name, number, "active", key, None, f"{number + 1:x}", at, at)
        registry = Registry.open(self.paths.registry)
        with registry.transaction():
            SiteShelf(registry.connection).put(site, Signed(site.serial, name, name, at, ""))
        registry.close()
        return key

    @contextmanager
    def running(
        self, name: str, command: Sequence[str], env: Mapping[str, str], port: int = 0
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A child in its own group, ended with all that it started."""
        with (self.paths.logs / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(
                command,
                cwd=self.home,
                env={**os.environ, **env},
                stdout=log,
                stderr=log,
                process_group=0,
            )
        try:
            if port:
                self.until(lambda: is_listening("127.0.0.1", port), 40.0)
            yield child
        finally:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()

    @staticmethod
    def until(true: Callable[[], object], seconds: float = 10.0) -> None:
        """Wait until a function says so."""
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, "it did not happen in time"
            time.sleep(0.05)


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    home = Path(mkdtemp(prefix="wr-")) / "home"  # short: a socket lies in it
    listen = f"127.0.0.1:{free_port()}"
    config = HomeConfig(
        address=listen,
        listen=listen,
        superlink_port=free_port(),
        dashboard=f"127.0.0.1:{free_port()}",
    )
    make_server(home, config, datetime.now(UTC))
    prepare(home, config)
    yield House(home)
    shutil.rmtree(home.parent)
