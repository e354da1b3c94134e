"""How a site joins: its keys and request, the kit that answers, and the next one after a year.

`kit/kit.json` is what a site has joined: one file, replaced whole. All else that a kit brings
(certificates, the renewed key in its place, number and address in `site.toml`) follows from it,
and `settle` makes it so, however often and from wherever it was cut short.
"""

from __future__ import annotations

import os
import secrets
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from client.home import Deployment, HomeConfig, HomeError, make_home, open_store, read_config
from client.paths import HomePaths
from daemons.certificates import (
    CertificateError,
    check_issued,
    name_of,
    pem,
    read_certificate,
    signing_request,
)
from daemons.joining import (
    Kit,
    Request,
    as_file,
    check_name,
    make_request,
    read_kit,
    read_request,
)
from daemons.secrets import (
    new_node_key,
    new_tls_key,
    node_key,
    private_openssh,
    private_pem,
    public_openssh,
    public_pem,
    secret_folder,
    tls_key,
    write_secret,
)
from daemons.terminal import Refused
from protocol.files import replace_file


def make_site(home: Path, name: str) -> Request:
    """Make a site's home: keys, database, request, configuration; the configuration last.

    Raises:
        JoiningError: the name is none.
        HomeError: there is a site already; nothing was touched.
    """
    paths = HomePaths(home)
    check_name(name)
    if paths.config.exists() or paths.keys.exists():
        raise HomeError(f"{home}: it holds a site already; keys are never written over")
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    home.chmod(0o700)  # where a package has made it, too: labels and a proxy's password lie in it
    open_store(home).close()
    paths.database.chmod(0o600)
    node, tls = new_node_key(), new_tls_key()
    files = {
        "node": private_openssh(node),
        "node.pub": public_openssh(node.public_key()).encode() + b"\n",
        "coordination.key": private_pem(tls),
        "site.secret": secrets.token_bytes(32),
        "runtime.secret": secrets.token_hex(32).encode(),
    }
    secret_folder(paths.keys, files)
    request = _ask(paths, name, tls)
    make_home(home, HomeConfig(name=name, deployment=Deployment()))
    return request


def request_of(home: Path) -> Request:
    """The site's newest request.

    Raises:
        HomeError, JoiningError: it is not there, or is damaged.
    """
    read_config(home)
    return read_request(HomePaths(home).request)


def renew(home: Path) -> Request:
    """A fresh request with a fresh TLS key; the one in use stays until the new kit is joined.

    Asked again before that, it is for the same fresh key. The node key stays.

    Raises:
        Refused: the site has not joined yet.
    """
    paths, config = HomePaths(home), read_config(home)
    joined(home)
    if not _next_key(paths).exists():
        write_secret(_next_key(paths), private_pem(new_tls_key()))
    return _ask(paths, config.name, tls_key(_next_key(paths).read_bytes()))


def joined(home: Path) -> Kit:
    """The kit that the site has joined, everything that follows from it in its place.

    Raises:
        Refused: the site has not joined yet.
    """
    kit = settle(home)
    if kit is None:
        raise Refused("this site has not joined yet: `wardround-site join KIT` with the kit")
    return kit


def join(home: Path, kit: Kit, at: datetime, *, another_server: bool = False) -> None:
    """Install a kit that was compared by telephone: all of it, or nothing.

    Safe while the daemon runs: what is open goes on, what dials anew takes the new certificate.

    Args:
        home: of the site.
        kit: as read.
        at: now, UTC.
        another_server: it may come from another server than the kit before it.

    Raises:
        CertificateError: it is broken, expired, or not valid yet.
        Refused: it is for other keys, another site, another server, or is an older one.
    """
    check_kit(home, kit, at)
    before = settle(home)
    if before is not None:
        _check_follows(before, kit, another_server=another_server)
    paths = HomePaths(home)
    paths.kit.mkdir(mode=0o700, exist_ok=True)
    replace_file(paths.kit / "kit.json", as_file(kit), sync=True)  # from here on it is joined
    settle(home)


def check_kit(home: Path, kit: Kit, at: datetime) -> None:
    """Check all that can be checked of a kit without a telephone.

    Raises:
        CertificateError, Refused: as `join` does.
    """
    paths, config = HomePaths(home), read_config(home)
    if kit.name != config.name:
        raise Refused(f"the kit is for site {kit.name}, this is {config.name}")
    certificate = read_certificate(kit.certificate.encode())
    _check_heads(kit)
    authority = read_certificate(kit.server_ca.encode())
    check_issued(authority, authority, at)
    check_issued(certificate, read_certificate(kit.site_ca.encode()), at)
    if name_of(certificate) != kit.name:
        raise CertificateError("the kit's certificate is for another name than the kit")
    until = certificate.not_valid_after_utc.isoformat(timespec="seconds")
    if (f"{certificate.serial_number:x}", until) != (kit.serial, kit.not_after):
        raise CertificateError("the kit's certificate is not the one that the kit speaks of")
    if not any(_fits(certificate, key) for key in (_key(paths), _next_key(paths))):
        raise Refused("the kit answers another request: its certificate is not for a key of ours")


def settle(home: Path) -> Kit | None:
    """Bring into place whatever follows from the joined kit; that kit, None before any.

    Raises:
        JoiningError: `kit.json` is damaged.
    """
    paths = HomePaths(home)
    if not (paths.kit / "kit.json").exists():
        return None
    kit = read_kit(paths.kit / "kit.json")
    certificate = read_certificate(kit.certificate.encode())
    _keep(paths.kit / "server-ca.crt", pem(read_certificate(kit.server_ca.encode())))
    _keep(paths.kit / "heads.pub", kit.heads.encode())
    if not _fits(certificate, _key(paths)) and _fits(certificate, _next_key(paths)):
        _next_key(paths).replace(_key(paths))
    _keep(paths.kit / "site.crt", pem(certificate))
    config = read_config(home)
    deployment = config.deployment or Deployment()
    if (config.number, deployment.server) != (kit.number, kit.server):
        told = {
            "number": kit.number,
            "deployment": deployment.model_copy(update={"server": kit.server}),
        }
        make_home(home, config.model_copy(update=told))
    return kit


def _check_follows(before: Kit, kit: Kit, *, another_server: bool) -> None:
    same = (before.server_ca, before.site_ca, before.heads, before.number)
    if same != (kit.server_ca, kit.site_ca, kit.heads, kit.number) and not another_server:
        raise Refused(
            "the kit comes from another server than the one that this site has joined; "
            "--another-server joins it all the same"
        )
    if kit.not_after < before.not_after and not another_server:
        raise Refused(
            f"the kit is older than the joined one: good until {kit.not_after[:10]}, "
            f"the joined one until {before.not_after[:10]}"
        )


def _check_heads(kit: Kit) -> None:
    try:
        key = serialization.load_pem_public_key(kit.heads.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise CertificateError("the kit's key for audit heads cannot be read") from None
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise CertificateError("the kit's key for audit heads is not Ed25519, which is accepted")


def _ask(paths: HomePaths, name: str, tls: ec.EllipticCurvePrivateKey) -> Request:
    node = node_key((paths.keys / "node").read_bytes())
    request = make_request(name, signing_request(tls, name), node)
    replace_file(paths.request, as_file(request), sync=True)
    return request


def _fits(certificate: x509.Certificate, key: Path) -> bool:
    if not key.exists():
        return False
    own = tls_key(key.read_bytes()).public_key()
    return public_pem(certificate.public_key()) == public_pem(own)


def _keep(path: Path, block: bytes) -> None:
    """Write a file unless it says so already."""
    if not path.exists() or path.read_bytes() != block:
        replace_file(path, block, sync=True)


def _key(paths: HomePaths) -> Path:
    return paths.keys / "coordination.key"


def _next_key(paths: HomePaths) -> Path:
    return paths.keys / "coordination.next.key"


def tell_daemon(home: Path) -> None:
    """Let a running daemon's stream dial anew, with the certificate just joined."""
    run = HomePaths(home).run
    if run.is_dir():
        descriptor = os.open(run / "restart-attendance", os.O_WRONLY | os.O_CREAT, 0o600)
        os.close(descriptor)
