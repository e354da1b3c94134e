"""Certificates for mutual TLS: authorities, servers, sites, requests, revocation; EC, in PEM."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from daemons.issuing import BEFORE, Leaf, dated, general_name, issue, key_usage
from daemons.secrets import new_tls_key, private_pem, tls_key

AUTHORITY_DAYS = 20 * 365
SERVER_DAYS = 10 * 365
SITE_DAYS = 395
"""A site is renewed once a year, with a month to spare."""

_SHA = hashes.SHA256()


class CertificateError(ValueError):
    """A certificate or request that does not serve, in one sentence."""


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate that signs others, and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        """Its certificate."""
        return pem(self.certificate)

    @property
    def secret(self) -> bytes:
        """Its private key in PEM."""
        return private_pem(self.key)


def pem(thing: x509.Certificate | x509.CertificateRevocationList) -> bytes:
    """A certificate or revocation list in PEM."""
    return thing.public_bytes(serialization.Encoding.PEM)


def read_certificate(block: bytes) -> x509.Certificate:
    """The certificate in that PEM.

    Raises:
        CertificateError: there is none.
    """
    try:
        return x509.load_pem_x509_certificate(block)
    except ValueError:
        raise CertificateError("what should be a certificate in PEM is none") from None


def new_authority(title: str, at: datetime) -> Authority:
    """A fresh authority, valid for 20 years, that signs end certificates only.

    Args:
        title: the common name.
        at: now, UTC.
    """
    key = new_tls_key()
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, title),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "wardround"),
        ]
    )
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = (
        dated(x509.CertificateBuilder(), at, at + timedelta(days=AUTHORITY_DAYS))
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(authority=True), critical=True)
        .add_extension(own, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own), critical=False
        )
    )
    return Authority(builder.sign(key, _SHA), key)


def read_authority(certificate: Path, key: Path) -> Authority:
    """The authority in those two files.

    Raises:
        CertificateError: one of them cannot be read, or they do not belong together.
    """
    try:
        found = Authority(read_certificate(certificate.read_bytes()), tls_key(key.read_bytes()))
    except (OSError, ValueError):
        raise CertificateError(f"{certificate}: the authority or its key cannot be read") from None
    if found.certificate.public_key() != found.key.public_key():
        raise CertificateError(f"{certificate}: the key beside it belongs to another certificate")
    return found


def server_certificate(
    authority: Authority,
    public: ec.EllipticCurvePublicKey,
    hosts: Sequence[str],
    at: datetime,
    days: int = SERVER_DAYS,
) -> x509.Certificate:
    """A server's certificate.

    Args:
        authority: that signs it.
        public: the server's key.
        hosts: DNS names and addresses under which the server is dialled, at least one.
        at: now, UTC.
        days: that it is valid, and never longer than the authority.
    """
    names = [general_name(host) for host in hosts]
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "wardround")])
    leaf = Leaf(subject, ExtendedKeyUsageOID.SERVER_AUTH, names, days)
    return issue(authority.certificate, authority.key, public, leaf, at)


def site_certificate(
    authority: Authority, request: x509.CertificateSigningRequest, at: datetime
) -> x509.Certificate:
    """A site's certificate (CN = its name, OU = site, O = wardround) for a checked request."""
    leaf = Leaf(site_subject(name_of(request)), ExtendedKeyUsageOID.CLIENT_AUTH, (), SITE_DAYS)
    return issue(authority.certificate, authority.key, ec_public(request.public_key()), leaf, at)


def site_subject(name: str) -> x509.Name:
    """Who a site is, in its request and in its certificate; nginx passes it on as text."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "wardround"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "site"),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )


def name_of(signed: x509.Certificate | x509.CertificateSigningRequest) -> str:
    """The common name; "" if there is not exactly one."""
    found = signed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if len(found) == 1 else ""


def signing_request(key: ec.EllipticCurvePrivateKey, name: str) -> bytes:
    """A site's request for a certificate, in PEM."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(site_subject(name))
    return builder.sign(key, _SHA).public_bytes(serialization.Encoding.PEM)


def read_signing_request(block: bytes, name: str) -> x509.CertificateSigningRequest:
    """A request for a certificate, its signature, key and name checked.

    Raises:
        CertificateError: it is none, or not of this name, or its key is not P-256.
    """
    try:
        request = x509.load_pem_x509_csr(block)
        sound = request.is_signature_valid
        public = request.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise CertificateError("the certificate request is none in PEM") from None
    if not sound:
        raise CertificateError("the certificate request is not signed by its own key")
    if ec_public(public).curve.name != "secp256r1":
        raise CertificateError("the certificate request's key is not EC P-256, which is accepted")
    if name_of(request) != name:
        raise CertificateError("the certificate request is for another name than the one beside it")
    return request


def ec_public(key: PublicKeyTypes) -> ec.EllipticCurvePublicKey:
    """That public key, which is EC.

    Raises:
        CertificateError: it is of another kind.
    """
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise CertificateError("the public key is not EC, which is accepted")
    return key


def revocation_list(
    authority: Authority, revoked: Iterable[tuple[int, datetime]], at: datetime
) -> x509.CertificateRevocationList:
    """What the authority takes back: serials and since when.

    It is valid as long as the authority itself: nginx turns every site away when it is not.
    """
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(at - BEFORE)
        .next_update(authority.certificate.not_valid_after_utc)
        .add_extension(x509.CRLNumber(int(at.timestamp() * 1000)), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()),
            critical=False,
        )
    )
    for serial, since in revoked:
        one = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(since)
        builder = builder.add_revoked_certificate(one.build())
    return builder.sign(authority.key, _SHA)


def check_issued(certificate: x509.Certificate, authority: x509.Certificate, at: datetime) -> None:
    """Refuse a certificate that this authority did not sign, or that is not valid at that time.

    Raises:
        CertificateError: why not.
    """
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        raise CertificateError("the certificate is not signed by the authority beside it") from None
    for one in (certificate, authority):
        if at >= one.not_valid_after_utc:
            raise CertificateError(f"the certificate expired on {one.not_valid_after_utc:%Y-%m-%d}")
        if at < one.not_valid_before_utc:
            raise CertificateError(
                f"the certificate is valid from {one.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on, "
                f"and this machine's clock says {at:%Y-%m-%d %H:%M}"
            )


def days_left(certificate: Path, at: datetime | None = None) -> int:
    """Whole days until a certificate expires; below 0 once it has.

    Raises:
        CertificateError: the file holds none.
    """
    try:
        until = read_certificate(certificate.read_bytes()).not_valid_after_utc
    except FileNotFoundError:
        raise CertificateError(f"{certificate}: there is no certificate") from None
    return (until - (at or datetime.now(UTC))) // timedelta(days=1)
