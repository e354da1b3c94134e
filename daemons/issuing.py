"""How a certificate is built and signed: the extensions that strict verifiers ask for."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ObjectIdentifier

BEFORE = timedelta(hours=1)
"""Certificates are valid a little early: a site whose clock is behind can use its own at once."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """An end certificate to be signed.

    Attributes:
        subject: whose it is.
        usage: the one use it is good for.
        names: DNS names and addresses that it stands for.
        days: that it is valid, and never longer than its issuer.
    """

    subject: x509.Name
    usage: ObjectIdentifier
    names: Sequence[x509.GeneralName]
    days: int


def issue(
    issuer: x509.Certificate,
    key: ec.EllipticCurvePrivateKey,
    public: ec.EllipticCurvePublicKey,
    leaf: Leaf,
    at: datetime,
) -> x509.Certificate:
    """The certificate, signed by the issuer's key."""
    until = min(at + timedelta(days=leaf.days), issuer.not_valid_after_utc)
    builder = (
        dated(x509.CertificateBuilder(), at, until)
        .subject_name(leaf.subject)
        .issuer_name(issuer.subject)
        .public_key(public)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([leaf.usage]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()),
            critical=False,
        )
    )
    if leaf.names:
        builder = builder.add_extension(x509.SubjectAlternativeName(leaf.names), critical=False)
    return builder.sign(key, hashes.SHA256())


def dated(
    builder: x509.CertificateBuilder, at: datetime, until: datetime
) -> x509.CertificateBuilder:
    """With a random serial, and valid until then from a little before now."""
    number = x509.random_serial_number()
    return builder.serial_number(number).not_valid_before(at - BEFORE).not_valid_after(until)


def general_name(host: str) -> x509.GeneralName:
    """A host as certificates name it: by address, or by DNS name."""
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def key_usage(*, authority: bool) -> x509.KeyUsage:
    """An authority signs certificates and their revocation, all others sign handshakes."""
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
