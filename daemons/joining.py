"""The two files that pass between a site and a server: the request, and the kit that answers it.

Both are one JSON document and hold public things only. Their fingerprints are of what they say,
not of how a mail program left their spaces.
"""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from daemons.fingerprints import fingerprint
from daemons.secrets import public_openssh

MOST_BYTES = 65536
"""Neither file needs a tenth of it."""

_NAME = r"^[a-z][a-z0-9-]{0,40}\Z"
_HOST = r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?)"
_ADDRESS = re.compile(_HOST + r":(?P<port>[0-9]{1,5})")
_Text = Annotated[str, Field(min_length=1, max_length=8192)]


class JoiningError(ValueError):
    """A request or kit that is refused as input, in one sentence."""


def check_name(name: str) -> str:
    """The site's name, which is also the common name of its certificate.

    Raises:
        JoiningError: it is none.
    """
    if not re.match(_NAME, name):
        raise JoiningError(
            f"site name {name[:60]!r}: accepted are a to z, 0 to 9 and hyphens, "
            "a letter first, at most 41"
        )
    return name


def split_address(address: str) -> tuple[str, int]:
    """Host (an IPv6 address without its brackets) and port of host:port.

    Raises:
        JoiningError: it is neither.
    """
    found = _ADDRESS.fullmatch(address)
    if not found or not 0 < int(found["port"]) < 65536:
        raise JoiningError(
            f"address {address[:80]!r}: accepted is host:port, as in server.example:443"
        )
    return found[1].strip("[]"), int(found["port"])


class Request(BaseModel):
    """What a site asks the server's admin to sign.

    Attributes:
        name: of the site.
        csr: request for the certificate of the site's TLS key, PEM.
        node_key: public key of the site's SuperNode, P-384, OpenSSH.
        node_proof: signature of name and csr by the node key, hex: nobody asks with another's key.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal["wardround-request-1"]
    name: Annotated[str, Field(max_length=41)]
    csr: _Text
    node_key: _Text
    node_proof: _Text

    @property
    def fingerprint(self) -> str:
        """Of what it says."""
        return _fingerprint(self)


class Kit(BaseModel):
    """What a site needs to dial the server; no secret in it.

    Attributes:
        name: of the site.
        number: its place in site order.
        server: host:port that the site dials.
        server_ca: certificate that signs the server's, PEM.
        site_ca: certificate that signs the sites', PEM.
        certificate: the site's, PEM.
        heads: public Ed25519 key that countersigns audit heads, PEM.
        serial: of the certificate, hex.
        not_after: when the certificate expires, UTC, ISO 8601.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal["wardround-kit-1"]
    name: Annotated[str, Field(max_length=41)]
    number: Annotated[int, Field(ge=0, lt=100_000)]
    server: Annotated[str, Field(max_length=262)]
    server_ca: _Text
    site_ca: _Text
    certificate: _Text
    heads: _Text
    serial: Annotated[str, Field(pattern=r"^[0-9a-f]{1,40}$")]
    not_after: Annotated[str, Field(max_length=40)]

    @property
    def fingerprint(self) -> str:
        """Of what it says."""
        return _fingerprint(self)


def make_request(name: str, csr: bytes, node: ec.EllipticCurvePrivateKey) -> Request:
    """A site's request."""
    proof = node.sign(_proven(name, csr.decode()), ec.ECDSA(hashes.SHA384()))
    return Request(
        format="wardround-request-1",
        name=check_name(name),
        csr=csr.decode(),
        node_key=public_openssh(node.public_key()),
        node_proof=proof.hex(),
    )


def check_node_key(request: Request) -> str:
    """The request's node key as one line of OpenSSH, without a comment.

    Raises:
        JoiningError: it is not EC P-384, or the request is not signed by it.
    """
    try:
        key = serialization.load_ssh_public_key(request.node_key.encode())
        if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp384r1":
            raise ValueError
    except (ValueError, UnsupportedAlgorithm):
        raise JoiningError(
            "the request's node key is not one of EC P-384 in OpenSSH's format, which is accepted"
        ) from None
    try:
        proof = bytes.fromhex(request.node_proof)
        key.verify(proof, _proven(request.name, request.csr), ec.ECDSA(hashes.SHA384()))
    except (ValueError, InvalidSignature):
        raise JoiningError("the request is not signed by its own node key") from None
    return public_openssh(key)


def read_request(path: Path) -> Request:
    """The request in a file; only its form was checked, no signature.

    Raises:
        JoiningError: it is none.
    """
    request = _read(path, "request", Request.model_validate_json)
    check_name(request.name)
    return request


def read_kit(path: Path) -> Kit:
    """The kit in a file; only its form was checked, no signature.

    Raises:
        JoiningError: it is none.
    """
    kit = _read(path, "kit", Kit.model_validate_json)
    check_name(kit.name)
    split_address(kit.server)
    return kit


def as_file(document: Request | Kit) -> bytes:
    """The document as it is written."""
    return (document.model_dump_json(indent=1) + "\n").encode()


_D = TypeVar("_D", Request, Kit)


def _read(path: Path, what: str, parse: Callable[[bytes], _D]) -> _D:
    try:
        return parse(_small(path, what))
    except ValidationError:
        raise JoiningError(f"{path}: not a wardround {what} of this version, whole") from None


def _small(path: Path, what: str) -> bytes:
    """The file's bytes; never a device, a pipe or something huge."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise JoiningError(f"{path}: a {what} is a file")
        with path.open("rb") as file:
            block = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise JoiningError(f"{path}: there is no such file") from None
    if len(block) > MOST_BYTES:
        raise JoiningError(f"{path}: over {MOST_BYTES} bytes, which no {what} has")
    return block


def _proven(name: str, csr: str) -> bytes:
    return f"wardround request\n{name}\n{csr}".encode()


def _fingerprint(document: Request | Kit) -> str:
    said = document.model_dump(mode="json")
    return fingerprint(json.dumps(said, sort_keys=True, separators=(",", ":")).encode())
