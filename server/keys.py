"""The server's own keys and certificates: made once, and the certificate made again when needed."""

from __future__ import annotations

import secrets
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ed25519

from daemons.certificates import (
    AUTHORITY_DAYS,
    new_authority,
    pem,
    read_authority,
    revocation_list,
    server_certificate,
)
from daemons.joining import split_address
from daemons.secrets import new_tls_key, private_pem, public_pem, secret_folder, tls_key
from protocol.files import replace_file
from server.home import HomeConfig, HomeError, ServerPaths, make_home, read_config
from server.registry.registry import Registry

LOOPBACK = ("localhost", "127.0.0.1")


def make_server(home: Path, config: HomeConfig, at: datetime) -> None:
    """Make a server's home: keys, registry, configuration; the configuration last.

    Raises:
        HomeError: there is one already; nothing was touched.
    """
    paths = ServerPaths(home)
    host, _ = split_address(config.address)
    if paths.config.exists() or paths.pki.exists():
        raise HomeError(f"{home}: it holds a server already; keys are never written over")
    home.mkdir(mode=0o711, parents=True, exist_ok=True)  # nginx passes through, lists nothing
    for folder in (paths.studies, paths.flower, paths.logs):
        folder.mkdir(mode=0o700, exist_ok=True)
    Registry.open(paths.registry).close()
    paths.registry.chmod(0o600)
    secret_folder(paths.pki, _files(host, at))
    make_home(home, config)


def certify(home: Path, address: str, at: datetime) -> None:
    """Sign the server's certificate anew, for the same key; sites notice nothing.

    Args:
        home: of the server.
        address: host:port that sites dial from now on; "" leaves it.
        at: now, UTC.
    """
    paths, config = ServerPaths(home), read_config(home)
    host, _ = split_address(address or config.address)
    authority = read_authority(paths.pki / "server-ca.crt", paths.pki / "server-ca.key")
    public = tls_key((paths.pki / "server.key").read_bytes()).public_key()
    fresh = pem(server_certificate(authority, public, [host], at))
    replace_file(paths.pki / "server.crt", fresh, sync=True)
    if address and address != config.address:
        make_home(home, config.model_copy(update={"address": address}))


def _files(host: str, at: datetime) -> dict[str, bytes]:
    server, sites = new_authority("wardround server", at), new_authority("wardround sites", at)
    own, inner, heads = new_tls_key(), new_tls_key(), ed25519.Ed25519PrivateKey.generate()
    loop = new_authority("wardround loopback", at)  # its key is thrown away: it signs one thing
    loopback = server_certificate(loop, inner.public_key(), LOOPBACK, at, AUTHORITY_DAYS)
    return {
        "server-ca.crt": server.pem,
        "server-ca.key": server.secret,
        "server.crt": pem(server_certificate(server, own.public_key(), [host], at)),
        "server.key": private_pem(own),
        "site-ca.crt": sites.pem,
        "site-ca.key": sites.secret,
        "site.crl": pem(revocation_list(sites, (), at)),
        "loop-ca.crt": loop.pem,
        "loop.crt": pem(loopback),
        "loop.key": private_pem(inner),
        "heads.key": private_pem(heads),
        "heads.pub": public_pem(heads.public_key()),
        "superexec.secret": secrets.token_hex(32).encode(),
    }
