"""How sites join: a request is examined and signed, a kit is made; renewal and revocation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from cryptography import x509

from daemons.certificates import (
    ec_public,
    name_of,
    pem,
    read_authority,
    read_signing_request,
    revocation_list,
    site_certificate,
)
from daemons.joining import JoiningError, Kit, Request, check_name, check_node_key
from daemons.secrets import public_pem
from daemons.terminal import Refused
from protocol.files import replace_file
from server.home import ServerPaths, read_config
from server.registry.registry import Registry
from server.registry.site_shelf import JoinedSite, Signed, SiteShelf


@dataclass(frozen=True, slots=True)
class Asked:
    """A request whose signatures hold: what its site will be known by.

    Attributes:
        csr: for its certificate.
        node_key: one line of OpenSSH.
        key: SHA-256 of the certificate's public key, hex.
    """

    csr: x509.CertificateSigningRequest
    node_key: str
    key: str


def examine(registry: Registry, name: str, request: Request, *, renewal: bool) -> Asked:
    """Check all that can be checked of a request before anything is signed.

    Raises:
        JoiningError: the request is broken, or for another name.
        Refused: the name is taken (renewal: is not active), or a key was used before.
    """
    if request.name != check_name(name):
        raise JoiningError(f"the request is for site {request.name}, {name} was asked for")
    csr = read_signing_request(request.csr.encode(), name)
    key = sha256(public_pem(ec_public(csr.public_key()))).hexdigest()
    asked = Asked(csr, check_node_key(request), key)
    shelf = SiteShelf(registry.connection)
    if shelf.is_burned(asked.node_key, asked.key):
        raise Refused(f"a key of this request was revoked: {name} must make new ones in a new home")
    if shelf.owners(asked.node_key, asked.key) - {name}:
        raise Refused("a key of this request belongs to another site")
    _check_standing(shelf.find(name), name, asked, renewal=renewal)
    return asked


def _check_standing(known: JoinedSite | None, name: str, asked: Asked, *, renewal: bool) -> None:
    if not renewal:
        if known is not None and known.active:
            raise Refused(f"site {name} has joined already; `sites renew` signs its newer request")
        return
    if known is None or not known.active:
        raise Refused(f"site {name} has not joined, or was revoked; `sites add` lets it in")
    if known.node_key != asked.node_key:
        raise Refused(
            f"the request has another node key than site {name}: a renewal keeps it; "
            "revoke the site and add it again if the key was lost"
        )


def admit(
    paths: ServerPaths, registry: Registry, request: Request, at: datetime, *, renewal: bool
) -> Kit:
    """Sign a request that was examined and compared; the site's kit.

    Raises:
        JoiningError, Refused: as `examine` does, which is asked again.
    """
    authority = read_authority(paths.pki / "site-ca.crt", paths.pki / "site-ca.key")
    shelf = SiteShelf(registry.connection)
    with registry.transaction():
        asked = examine(registry, request.name, request, renewal=renewal)
        known = shelf.find(request.name)
        certificate = site_certificate(authority, asked.csr, at)
        signed = _signed(certificate, asked.key)
        site = JoinedSite(
            name=request.name,
            number=known.number if known else shelf.next_number(),
            state="active",
            node_key=asked.node_key,
            node=known.node if known and renewal else None,
            serial=signed.serial,
            not_after=signed.not_after,
            added=known.added if known and renewal else _text(at),
        )
        shelf.put(site, signed)
    return kit_of(paths, registry, request.name)


def kit_of(paths: ServerPaths, registry: Registry, name: str) -> Kit:
    """The newest kit of a site; the same as often as it is asked for.

    Raises:
        Refused: the site has not joined, or was revoked.
    """
    shelf = SiteShelf(registry.connection)
    site = shelf.find(check_name(name))
    if site is None or not site.active:
        raise Refused(f"site {name} has not joined, or was revoked")
    return Kit(
        format="wardround-kit-1",
        name=name,
        number=site.number,
        server=read_config(paths.home).address,
        server_ca=(paths.pki / "server-ca.crt").read_text(encoding="ascii"),
        site_ca=(paths.pki / "site-ca.crt").read_text(encoding="ascii"),
        certificate=shelf.signed(site.serial).pem,
        heads=(paths.pki / "heads.pub").read_text(encoding="ascii"),
        serial=site.serial,
        not_after=site.not_after,
    )


def revoke(paths: ServerPaths, registry: Registry, name: str, at: datetime) -> JoinedSite:
    """Take back all that was signed for a site and its node key; the site as it was.

    Nginx refuses it once it has read the new `site.crl`. A site that was revoked before stays
    so; its line in the list is written again.

    Raises:
        Refused: no such site ever joined.
    """
    shelf = SiteShelf(registry.connection)
    with registry.transaction():
        site = shelf.find(check_name(name))
        if site is None:
            raise Refused(f"site {name} has not joined")
        shelf.revoke(name, _text(at))
        write_revocations(paths, registry, at)  # within: whatever dies, nothing stays trusted
    return site


def write_revocations(paths: ServerPaths, registry: Registry, at: datetime) -> None:
    """Write `site.crl` from the registry; within a transaction, so that one writes at a time."""
    authority = read_authority(paths.pki / "site-ca.crt", paths.pki / "site-ca.key")
    revoked = [
        (int(one.serial, 16), datetime.fromisoformat(one.at))
        for one in SiteShelf(registry.connection).burned()
    ]
    block = pem(revocation_list(authority, revoked, at))
    replace_file(paths.pki / "site.crl", block, sync=True)


def _signed(certificate: x509.Certificate, key: str) -> Signed:
    return Signed(
        serial=f"{certificate.serial_number:x}",
        site=name_of(certificate),
        key=key,
        not_after=_text(certificate.not_valid_after_utc),
        pem=pem(certificate).decode(),
    )


def _text(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
