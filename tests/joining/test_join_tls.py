"""What the certificates are for: real handshakes, and OpenSSL's own opinion of them."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from client.joining import join
from client.paths import HomePaths
from daemons.certificates import CertificateError, days_left, new_authority
from daemons.joining import read_kit
from daemons.secrets import sign, signed
from server.home import ServerPaths
from server.keys import certify

Say = Callable[..., Any]
Make = Callable[..., HomePaths]
Add = Callable[..., Path]
NOW = datetime.now(UTC)


def joined(name: str, site: Make, add: Add) -> HomePaths:
    north = site(name)
    join(north.home, read_kit(add(north)), NOW)
    return north


def towards_sites(paths: ServerPaths) -> ssl.SSLContext:
    """As nginx is told: client certificates of the sites' authority only, and its list."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(paths.pki / "server.crt", paths.pki / "server.key")
    context.load_verify_locations(paths.pki / "site-ca.crt")
    context.load_verify_locations(paths.pki / "site.crl")
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF | ssl.VERIFY_X509_STRICT
    return context


def towards_server(home: HomePaths) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(home.kit / "server-ca.crt"))
    context.load_cert_chain(home.kit / "site.crt", home.keys / "coordination.key")
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, host: str = "localhost") -> Any:
    """The subject that the server saw, from a real connection on loopback."""
    seen: list[Any] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(10)

        def serve() -> None:
            raw, _ = listening.accept()
            raw.settimeout(10)
            try:
                with server.wrap_socket(raw, server_side=True) as tls:
                    seen.append(tls.getpeercert())
                    tls.sendall(b"x")
            except (ssl.SSLError, OSError) as error:
                seen.append(error)
                raw.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with (
                socket.create_connection(listening.getsockname(), timeout=10) as raw,
                client.wrap_socket(raw, server_hostname=host) as tls,
            ):
                tls.recv(1)
        finally:
            thread.join()
    if isinstance(seen[0], Exception):
        raise seen[0]
    return dict(pair for (pair,) in (seen[0] or {"subject": ()})["subject"])


def test_a_site_is_known_by_its_certificate(server: ServerPaths, site: Make, add: Add) -> None:
    north = joined("north", site, add)
    subject = handshake(towards_sites(server), towards_server(north))
    assert subject == {
        "organizationName": "wardround",
        "organizationalUnitName": "site",
        "commonName": "north",
    }


def test_nobody_without_one_and_no_revoked_site_comes_in(
    server: ServerPaths, site: Make, add: Add, say: Say
) -> None:
    north, south = joined("north", site, add), joined("south", site, add)
    bare = ssl.create_default_context(cafile=str(north.kit / "server-ca.crt"))
    with pytest.raises(ssl.SSLError):
        handshake(towards_sites(server), bare)
    assert say("wardround-server", "sites", "revoke", "north", home=server.home).code == 0
    with pytest.raises(ssl.SSLError, match=r"revoked|REVOKED"):
        handshake(towards_sites(server), towards_server(north))
    handshake(towards_sites(server), towards_server(south))


@pytest.mark.slow
def test_revoking_takes_back_the_certificates_before_a_renewal(
    server: ServerPaths, site: Make, add: Add, say: Say
) -> None:
    north = joined("north", site, add)
    before = towards_server(north)
    assert say("wardround-site", "renew", home=north.home).code == 0
    join(north.home, read_kit(add(north, renewal=True)), NOW)
    after = towards_server(north)
    for context in (before, after):
        handshake(towards_sites(server), context)
    assert say("wardround-server", "sites", "revoke", "north", home=server.home).code == 0
    for context in (before, after):
        with pytest.raises(ssl.SSLError, match=r"revoked|REVOKED"):
            handshake(towards_sites(server), context)


def test_a_site_dials_only_its_server(
    server: ServerPaths, site: Make, add: Add, tmp_path: Path
) -> None:
    north = joined("north", site, add)
    with pytest.raises(ssl.SSLError):
        handshake(towards_sites(server), towards_server(north), host="other")
    own = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)  # a site that plays the server
    own.load_cert_chain(north.kit / "site.crt", north.keys / "coordination.key")
    with pytest.raises(ssl.SSLError):
        handshake(own, towards_server(north))


def test_an_address_without_a_name_is_dialled_by_number(
    server: ServerPaths, site: Make, add: Add
) -> None:
    certify(server.home, "127.0.0.1:8443", NOW)
    north = joined("north", site, add)
    handshake(towards_sites(server), towards_server(north), host="127.0.0.1")


def test_flower_is_dialled_on_loopback_by_either(server: ServerPaths) -> None:
    inner = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    inner.load_cert_chain(server.pki / "loop.crt", server.pki / "loop.key")
    outer = ssl.create_default_context(cafile=str(server.pki / "loop-ca.crt"))
    for host in ("localhost", "127.0.0.1"):
        assert handshake(inner, outer, host=host) == {}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_openssl_finds_nothing_wrong(server: ServerPaths, site: Make, add: Add, say: Say) -> None:
    north = joined("north", site, add)

    def verify(purpose: str, authority: str, certificate: Path, *more: object) -> str:
        command = ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile"]
        command += [str(server.pki / authority), *(str(m) for m in more), str(certificate)]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=30
        ).stdout

    listed = ("-crl_check", "-CRLfile", server.pki / "site.crl")
    assert verify("sslclient", "site-ca.crt", north.kit / "site.crt", *listed).endswith("OK\n")
    assert verify("sslserver", "server-ca.crt", server.pki / "server.crt").endswith("OK\n")
    assert verify("sslserver", "loop-ca.crt", server.pki / "loop.crt").endswith("OK\n")
    assert "OK" not in verify("sslserver", "site-ca.crt", north.kit / "site.crt", *listed)
    assert "OK" not in verify("sslclient", "server-ca.crt", north.kit / "site.crt")
    in_a_year = ("-attime", str(int((NOW + timedelta(days=394)).timestamp())))
    late = verify("sslclient", "site-ca.crt", north.kit / "site.crt", *listed, *in_a_year)
    assert late.endswith("OK\n")
    in_19_years = ("-attime", str(int((NOW + timedelta(days=19 * 365)).timestamp())))
    loop = verify("sslserver", "loop-ca.crt", server.pki / "loop.crt", *in_19_years)
    assert loop.endswith("OK\n")
    say("wardround-server", "sites", "revoke", "north", home=server.home)
    assert "OK" not in verify("sslclient", "site-ca.crt", north.kit / "site.crt", *listed)


def test_days_left_counts_whole_days(server: ServerPaths, tmp_path: Path) -> None:
    authority = tmp_path / "a.crt"
    authority.write_bytes(new_authority("a", NOW).pem)
    assert days_left(authority, NOW) in (7299, 7300)  # certificates end on whole seconds
    assert days_left(authority, NOW + timedelta(days=7300, hours=1)) == -1
    with pytest.raises(CertificateError):
        days_left(tmp_path / "none.crt")


def test_heads_are_signed(server: ServerPaths, site: Make, add: Add) -> None:
    north = joined("north", site, add)
    signature = sign((server.pki / "heads.key").read_bytes(), b"head")
    public = (north.kit / "heads.pub").read_bytes()
    assert signed(public, b"head", signature)
    assert not signed(public, b"heae", signature)
    assert not signed(public, b"head", signature[:-1])
