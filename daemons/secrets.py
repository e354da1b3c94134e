"""Private keys and secrets on disk: for their owner alone, and never written over."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes


def new_tls_key() -> ec.EllipticCurvePrivateKey:
    """A fresh P-256 key, for a certificate."""
    return ec.generate_private_key(ec.SECP256R1())


def new_node_key() -> ec.EllipticCurvePrivateKey:
    """A fresh P-384 key, for Flower's SuperNode authentication."""
    return ec.generate_private_key(ec.SECP384R1())


def private_pem(key: PrivateKeyTypes) -> bytes:
    """The private key in PEM (PKCS 8), unencrypted: its file's mode is what guards it."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def private_openssh(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The private key as `ssh-keygen` writes it, which is what Flower reads."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )


def public_pem(key: PublicKeyTypes) -> bytes:
    """The public key in PEM."""
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def public_openssh(key: ec.EllipticCurvePublicKey) -> str:
    """The public key as one line of OpenSSH, without a comment."""
    return key.public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    ).decode()


def tls_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """The private EC key in that PEM.

    Raises:
        ValueError: there is none.
    """
    key = serialization.load_pem_private_key(pem, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("the private key is not an EC key")
    return key


def node_key(openssh: bytes) -> ec.EllipticCurvePrivateKey:
    """The private EC key in that OpenSSH file.

    Raises:
        ValueError: there is none.
    """
    key = serialization.load_ssh_private_key(openssh, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("the node's private key is not an EC key")
    return key


def sign(private: bytes, message: bytes) -> bytes:
    """The Ed25519 signature (64 bytes) of a message, with a private key in PEM.

    Raises:
        ValueError: the PEM holds no Ed25519 key.
    """
    key = serialization.load_pem_private_key(private, None)
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise ValueError("the private key is not an Ed25519 key")
    return key.sign(message)


def signed(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether an Ed25519 signature is of this message, by a public key in PEM.

    Raises:
        ValueError: the PEM holds no Ed25519 key.
    """
    key = serialization.load_pem_public_key(public)
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise ValueError("the public key is not an Ed25519 key")
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def write_secret(path: Path, block: bytes) -> None:
    """Write a file that only its owner reads (0600), synced to disk.

    Raises:
        FileExistsError: there is one already; it was not touched.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(block)
        file.flush()
        os.fsync(file.fileno())


def secret_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Make a folder (0700) of such files, whole or not at all.

    Raises:
        FileExistsError: there is something in its place; it was not touched.
    """
    if path.exists():
        raise FileExistsError(17, "it is there already", str(path))
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700, parents=True)
    try:
        for name, block in files.items():
            write_secret(fresh / name, block)
        fresh.rename(path)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
