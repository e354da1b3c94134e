"""Requests and kits that were damaged, swapped or made to harm: refused, nothing written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from client.joining import check_kit, join, settle
from client.paths import HomePaths
from daemons.certificates import CertificateError, new_authority, signing_request
from daemons.joining import JoiningError, Kit, make_request, read_kit, read_request
from daemons.secrets import new_node_key, new_tls_key, node_key, tls_key
from daemons.terminal import Refused
from server.home import ServerPaths
from server.joining import examine
from server.registry.registry import Registry

Say = Callable[..., Any]
Make = Callable[..., HomePaths]
Add = Callable[..., Path]
NOW = datetime.now(UTC)


def changed(file: Path, **values: object) -> Path:
    """The file with some fields changed; ... takes a field away."""
    document = json.loads(file.read_text()) | values
    out = file.with_name("changed.json")
    out.write_text(json.dumps({k: v for k, v in document.items() if v is not ...}))
    return out


HOSTILE = {
    "empty": b"",
    "not json": b"\x89PNG\r\n",
    "not utf-8": b'{"format": "\xff"}',
    "no object": b"[]",
    "deep": b"[" * 60000,
    "deep objects": b'{"name":' * 8000,
    "a huge number": b'{"number": ' + b"9" * 60000 + b"}",
    "oversized": b'{"name": "' + b"a" * 70000 + b'"}',
    "null": b"null",
}


@pytest.mark.slow
def test_hostile_files_are_refused(
    server: ServerPaths, site: Make, say: Say, tmp_path: Path
) -> None:
    north, file, out = site("north"), tmp_path / "x.json", tmp_path / "out.json"
    before = sorted(north.home.rglob("*"))
    for what, block in HOSTILE.items():
        file.write_bytes(block)
        said = say("wardround-site", "join", file, "--yes", home=north.home)
        assert (said.code, said.out, said.err.count("\n")) == (2, "", 1), what
        with pytest.raises(JoiningError):
            read_request(file)
    words = ("sites", "add", "north", file, "--out", out, "--fingerprint", "x")
    said = say("wardround-server", *words, home=server.home)
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert not out.exists()
    assert sorted(north.home.rglob("*")) == before


def test_every_truncation_is_refused(site: Make, add: Add) -> None:
    north = site("north")
    kit, request = add(north), north.request
    for file, read in ((kit, read_kit), (request, read_request)):
        block, cut = file.read_bytes().rstrip(), file.with_name("cut.json")
        for length in range(0, len(block), 61):
            cut.write_bytes(block[:length])
            with pytest.raises(JoiningError):
                read(cut)


def test_only_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path(os.devnull), tmp_path / "none"):
        with pytest.raises(JoiningError):
            read_kit(path)


NAMES = ["../north", "a/b", "/etc", "north\n", "..", "", "Nörd", "a" * 42, "a\x00", "$(id)", "-a"]


def test_a_name_is_no_path(
    server: ServerPaths, site: Make, add: Add, say: Say, tmp_path: Path
) -> None:
    north = site("north")
    kit, out = add(north), tmp_path / "out.json"
    for name in NAMES:
        with pytest.raises(JoiningError):
            read_kit(changed(kit, name=name))
        file = changed(north.request, name=name)
        with pytest.raises(JoiningError):
            read_request(file)
    words = ("sites", "add", "../north", file, "--out", out, "--fingerprint", "x")
    assert say("wardround-server", *words, home=server.home).code == 2
    assert not out.exists()


KIT_LIES: dict[str, dict[str, object]] = {
    "a field more": {"path": "../../x"},
    "a field less": {"heads": ...},
    "another format": {"format": "wardround-kit-2"},
    "a number as text": {"number": "0"},
    "a number below 0": {"number": -1},
    "an address with a path": {"server": "localhost:1/../x"},
    "an address with an option": {"server": "--insecure"},
    "an address of two lines": {"server": "localhost:1\nproxy=x"},
    "no certificate": {"certificate": "x"},
    "no authority": {"server_ca": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"},
    "another serial": {"serial": "ab"},
    "another date": {"not_after": "2999-01-01T00:00:00+00:00"},
    "no heads key": {"heads": "x"},
}


def test_a_kit_that_lies_is_refused(site: Make, add: Add, say: Say) -> None:
    north = site("north")
    kit = add(north)
    believed = []
    for what, lie in KIT_LIES.items():
        with suppress(JoiningError, CertificateError):
            check_kit(north.home, read_kit(changed(kit, **lie)), NOW)
            believed.append(what)
    assert believed == []
    said = say("wardround-site", "join", changed(kit, heads="x"), "--yes", home=north.home)
    assert said.code == 2
    assert not north.kit.exists()


def test_a_kit_signed_by_a_stranger_is_refused(site: Make, add: Add) -> None:
    """A whole new kit around the stranger's authority is what the fingerprint is for."""
    north = site("north")
    stranger = new_authority("wardround sites", NOW).pem.decode()
    kit = read_kit(changed(add(north), site_ca=stranger))
    with pytest.raises(CertificateError, match="not signed"):
        check_kit(north.home, kit, NOW)


def test_time_counts(site: Make, add: Add) -> None:
    north = site("north")
    kit = read_kit(add(north))
    for days, why in ((396, "expired"), (-1, "clock says")):
        with pytest.raises(CertificateError, match=why):
            join(north.home, kit, NOW + timedelta(days=days))
    assert settle(north.home) is None
    join(north.home, kit, NOW + timedelta(days=394))


def test_a_kit_for_other_keys_is_refused(site: Make, add: Add) -> None:
    north, twin = site("north"), site("north", "twin")
    with pytest.raises(Refused, match="another request"):
        join(twin.home, read_kit(add(north)), NOW)


def test_a_kit_of_another_server_is_refused_once_joined(site: Make, add: Add) -> None:
    north = site("north")
    first = read_kit(add(north))
    join(north.home, first, NOW)
    other = first.model_copy(
        update={"server_ca": new_authority("wardround server", NOW).pem.decode()}
    )
    with pytest.raises(Refused, match="another server"):
        join(north.home, other, NOW)
    assert settle(north.home) == first
    join(north.home, other, NOW, another_server=True)
    assert settle(north.home) == other


@pytest.fixture
def registry(server: ServerPaths) -> Any:
    opened = Registry.open(server.registry)
    yield opened
    opened.close()


def test_requests_with_wrong_keys_are_refused(registry: Registry) -> None:
    node, tls = new_node_key(), new_tls_key()
    good = make_request("north", signing_request(tls, "north"), node)
    examine(registry, "north", good, renewal=False)
    small = ec.generate_private_key(ec.SECP256R1())
    brainpool = ec.generate_private_key(ec.BrainpoolP256R1())
    stolen = make_request("north", good.csr.encode(), new_node_key())
    wrong = {
        "P-384": make_request("north", signing_request(small, "north"), small),
        "P-256": make_request("north", signing_request(node, "north"), node),
        "not EC P-256": make_request("north", signing_request(brainpool, "north"), node),
        "another name": make_request("north", signing_request(tls, "south"), node),
        "own node key": stolen.model_copy(update={"node_key": good.node_key}),
        "is none in PEM": good.model_copy(update={"csr": "-----BEGIN"}),
    }
    for why, request in wrong.items():
        with pytest.raises(ValueError, match=why):
            examine(registry, "north", request, renewal=False)
    with pytest.raises(JoiningError, match="asked for"):
        examine(registry, "south", good, renewal=False)


def test_a_request_whose_signature_was_broken_is_refused(registry: Registry) -> None:
    node, tls, other = new_node_key(), new_tls_key(), new_tls_key()
    mine = x509.load_pem_x509_csr(signing_request(tls, "north"))
    theirs = other.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    own = tls.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    forged = mine.public_bytes(serialization.Encoding.DER).replace(own, theirs)
    pem = x509.load_der_x509_csr(forged).public_bytes(serialization.Encoding.PEM)
    with pytest.raises(CertificateError, match="signed by its own key"):
        examine(registry, "north", make_request("north", pem, node), renewal=False)


def test_keys_of_another_site_are_refused(registry: Registry, site: Make, add: Add) -> None:
    north = site("north")
    add(north)
    node = node_key((north.keys / "node").read_bytes())
    tls = tls_key((north.keys / "coordination.key").read_bytes())
    for request in (
        make_request("south", signing_request(new_tls_key(), "south"), node),
        make_request("south", signing_request(tls, "south"), new_node_key()),
    ):
        with pytest.raises(Refused, match="another site"):
            examine(registry, "south", request, renewal=False)


def test_the_fingerprint_is_of_everything(site: Make, add: Add) -> None:
    kit = read_kit(add(site("north")))
    seen = {kit.fingerprint}
    for field, value in kit.model_dump().items():
        other: Kit = kit.model_copy(update={field: value + (1 if field == "number" else "x")})
        seen.add(other.fingerprint)
    assert len(seen) == 1 + len(Kit.model_fields)
