"""A whole joining by the real commands, and each thing that must refuse it."""

from __future__ import annotations

import argparse
import base64
import hashlib
import importlib
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from client.home import read_config
from client.paths import HomePaths
from daemons.joining import read_kit, read_request
from daemons.secrets import node_key, tls_key
from server.home import ServerPaths
from server.joining import admit
from server.registry.registry import Registry

Say = Callable[..., Any]
Make = Callable[..., HomePaths]
Add = Callable[..., Path]


def modes(folder: Path) -> set[int]:
    return {path.stat().st_mode & 0o777 for path in folder.iterdir()}


@pytest.mark.slow
def test_a_site_joins(say: Say, tmp_path: Path) -> None:
    """Every step as the two admins type it, with what each reads to the other."""
    server, north = ServerPaths(tmp_path / "server"), HomePaths(tmp_path / "north")
    kit = tmp_path / "north.kit.json"
    words = ("init", "--address", "localhost:8443", "--asked-by", "Ann")
    assert say("wardround-server", *words, home=server.home).code == 0
    assert "north" not in say("wardround-server", "sites", "list", home=server.home).out
    asked = say("wardround-site", "init", "north", "--format", "json", home=north.home).json
    assert asked == say("wardround-site", "request", "--format", "json", home=north.home).json
    words = ("sites", "add", "north", asked["request"], "--out", str(kit))
    heard = ("--fingerprint", asked["fingerprint"], "--format", "json")
    told = say("wardround-server", *words, *heard, home=server.home).json
    heard = ("--fingerprint", told["fingerprint"].lower().replace("-", " "), "--format", "json")
    said = say("wardround-site", "join", kit, *heard, home=north.home)
    assert said.code == 0, said.err
    assert said.json["fingerprint"] == told["fingerprint"] == read_kit(kit).fingerprint
    assert said.json["days_left"] in (394, 395)
    config = read_config(north.home)
    assert config.number == 0
    assert config.deployment is not None
    assert config.deployment.server == "localhost:8443"
    names = {"kit.json", "server-ca.crt", "site.crt", "heads.pub"}
    assert {path.name for path in north.kit.iterdir()} == names
    listed = say("wardround-server", "sites", "list", "--format", "json", home=server.home).json
    (row,) = listed["sites"]
    assert (row["name"], row["state"], row["online"]) == ("north", "active", False)
    assert row["days_left"] in (394, 395)
    assert "north" in say("wardround-server", "sites", "list", home=server.home).out


def test_secrets_are_for_their_owner_alone(server: ServerPaths, site: Make) -> None:
    north = site("north")
    for folder in (north.keys, server.pki):
        assert folder.stat().st_mode & 0o777 == 0o700
        assert modes(folder) == {0o600}
    assert north.home.stat().st_mode & 0o777 == 0o700
    assert len((north.keys / "site.secret").read_bytes()) == 32


def secrets_in(folder: Path) -> Iterator[bytes]:
    """Each secret of a folder as raw bytes: a key's own number, or the whole file."""
    for file in sorted(folder.iterdir()):
        block = file.read_bytes()
        if b"OPENSSH PRIVATE" in block:
            yield node_key(block).private_numbers().private_value.to_bytes(48, "big")
        elif b"PRIVATE" in block and file.name == "heads.key":
            key = serialization.load_pem_private_key(block, None)
            assert isinstance(key, Ed25519PrivateKey)
            yield key.private_bytes_raw()
        elif b"PRIVATE" in block:
            yield tls_key(block).private_numbers().private_value.to_bytes(32, "big")
        elif file.suffix == ".secret":
            yield block


def written(secret: bytes) -> set[bytes]:
    """The secret as it may stand in a text: base64 wherever it begins, hex, decimal."""
    inner = {base64.b64encode(b"." * n + secret)[4:-4] for n in range(3)}
    hexed = secret.hex().encode()
    return {secret, hexed, hexed.upper(), str(int.from_bytes(secret, "big")).encode(), *inner}


def test_no_key_is_in_what_travels(server: ServerPaths, site: Make, add: Add) -> None:
    north = site("north")
    travels = [add(north).read_bytes(), north.request.read_bytes()]
    secrets = [*secrets_in(north.keys), *secrets_in(server.pki)]
    assert len(secrets) == 4 + 6
    for text in travels:
        assert b"PRIVATE" not in text
        joined = text.replace(b"\\n", b"")
        bodies = re.findall(rb"-----BEGIN [^-]+-----(.+?)-----END", joined)
        plain = [joined, *(base64.b64decode(body) for body in bodies)]
        assert not [s for s in secrets for needle in written(s) for p in plain if needle in p]


def test_the_search_for_keys_would_find_one(site: Make) -> None:
    north = site("north")
    leaked = (north.keys / "coordination.key").read_bytes().replace(b"\n", b"")
    (needle,) = (s for s in secrets_in(north.keys) if s in base64.b64decode(leaked[27:-25]))
    assert any(form in leaked for form in written(needle))


def test_numbers_count_up_and_others_notice_nothing(
    server: ServerPaths, site: Make, add: Add, say: Say
) -> None:
    north, south = site("north"), site("south")
    first = add(north)
    before = {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in server.pki.iterdir()}
    second = add(south)
    assert {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in server.pki.iterdir()} == before
    assert (read_kit(first).number, read_kit(second).number) == (0, 1)
    assert say("wardround-site", "join", second, "--yes", home=north.home).code == 3


def test_a_wrong_fingerprint_is_refused_on_both_sides(
    server: ServerPaths, site: Make, add: Add, say: Say, tmp_path: Path
) -> None:
    north, out = site("north"), tmp_path / "out.json"
    words = ("sites", "add", "north", north.request, "--out", out)
    wrong = ("--fingerprint", "0000-0000-0000-0000-0000")
    said = say("wardround-server", *words, *wrong, home=server.home)
    assert said.code == 3
    assert not out.exists()
    assert "no site has joined" in say("wardround-server", "sites", "list", home=server.home).out
    kit = add(north)
    assert say("wardround-site", "join", kit, *wrong, home=north.home).code == 3
    assert say("wardround-site", "join", kit, home=north.home).code == 3  # and nobody to ask
    assert not north.kit.exists()


def test_a_name_joins_once(server: ServerPaths, site: Make, add: Add, say: Say) -> None:
    north, twin = site("north"), site("north", "twin")
    add(north)
    for again in (north, twin):
        words = ("sites", "add", "north", again.request, "--out", again.home / "k", "--fingerprint")
        said = say("wardround-server", *words, "x", home=server.home)
        assert said.code == 3
        assert "joined already" in said.err


@pytest.mark.slow
def test_a_revoked_key_never_comes_back_and_the_name_may(
    server: ServerPaths, site: Make, add: Add, say: Say
) -> None:
    north, south = site("north"), site("south")
    add(north), add(south)
    assert say("wardround-server", "sites", "revoke", "north", home=server.home).code == 0
    again = say("wardround-server", "sites", "revoke", "north", home=server.home)
    assert (again.code, "already" in again.out) == (0, True)
    for how in ("add", "renew"):
        words = ("sites", how, "north", north.request, "--out", north.home / "k")
        said = say("wardround-server", *words, "--fingerprint", "x", home=server.home)
        assert said.code == 3
        assert "revoked" in said.err
    assert say("wardround-server", "sites", "revoke", "east", home=server.home).code == 3
    kit = read_kit(add(site("north", "north-2")))
    assert kit.number == 0
    listed = say("wardround-server", "sites", "list", "--format", "json", home=server.home).json
    assert [row["state"] for row in listed["sites"]] == ["active", "active"]


def test_a_home_is_made_once(server: ServerPaths, site: Make, say: Say) -> None:
    north = site("north")
    before = {p: p.read_bytes() for p in [*north.keys.iterdir(), *server.pki.iterdir()]}
    assert say("wardround-site", "init", "north", home=north.home).code == 2
    north.config.unlink()  # keys without a configuration are still keys
    assert say("wardround-site", "init", "north", home=north.home).code == 2
    words = ("init", "--address", "localhost:1")
    assert say("wardround-server", *words, home=server.home).code == 2
    assert {p: p.read_bytes() for p in [*north.keys.iterdir(), *server.pki.iterdir()]} == before


@pytest.mark.parametrize("address", ["localhost", "localhost:0", "a b:1", "x:99999", "../x:1", ""])
def test_an_address_is_host_and_port(address: str, say: Say, tmp_path: Path) -> None:
    home = tmp_path / "s"
    said = say("wardround-server", "init", "--address", address, home=home)
    assert (said.code, "host:port" in said.err, home.exists()) == (2, True, False)


def test_a_kit_can_be_written_again(
    server: ServerPaths, site: Make, add: Add, say: Say, tmp_path: Path
) -> None:
    kit = add(site("north"))
    again = tmp_path / "again.json"
    words = ("sites", "kit", "north", "--out", again)
    assert say("wardround-server", *words, home=server.home).code == 0
    assert again.read_bytes() == kit.read_bytes()
    assert say("wardround-server", *words, home=server.home).code == 2  # never over a file


def test_a_new_address_reaches_sites_by_a_new_kit(
    server: ServerPaths, site: Make, add: Add, say: Say, tmp_path: Path
) -> None:
    north = site("north")
    assert say("wardround-site", "join", add(north), "--yes", home=north.home).code == 0
    certify = ("certify", "--address", "127.0.0.1:9443")
    assert say("wardround-server", *certify, home=server.home).code == 0
    moved = tmp_path / "moved.json"
    said = say("wardround-server", "sites", "kit", "north", "--out", moved, home=server.home)
    assert said.code == 0
    assert say("wardround-site", "join", moved, "--yes", home=north.home).code == 0
    deployment = read_config(north.home).deployment
    assert deployment is not None
    assert deployment.server == "127.0.0.1:9443"


@pytest.mark.slow
def test_a_person_at_a_terminal_is_asked(server: ServerPaths, site: Make, tmp_path: Path) -> None:
    """The installed command, on a real terminal."""
    north, out = site("north"), tmp_path / "kit.json"
    command = [sys.executable, "-c", "from server.cli import main; main()", "sites", "add"]
    command += ["north", str(north.request), "--out", str(out), "--home", str(server.home)]
    for answer, code in ((b"n\n", 3), (b"y\n", 0)):
        ours, theirs = pty.openpty()
        os.write(ours, answer)
        done = subprocess.run(
            command, stdin=theirs, capture_output=True, text=True, check=False, timeout=30
        )
        os.close(ours), os.close(theirs)
        assert done.returncode == code, done.stderr
        assert out.exists() == (code == 0)
    assert re.search(r"fingerprint: ([0-9A-Z]{4}-){4}[0-9A-Z]{4}", done.stderr)


def test_flower_takes_the_node_key(site: Make) -> None:
    from flwr.cli.supernode.register import try_load_public_key
    from flwr.supercore.primitives.asymmetric import public_key_to_bytes

    flower = importlib.import_module("flwr.supernode.cli.flower_supernode")
    north = site("north")
    given = argparse.Namespace(
        auth_supernode_private_key=str(north.keys / "node"), auth_supernode_public_key=None
    )
    private, public = flower._try_setup_client_authentication(given)
    assert private.curve.name == "secp384r1"
    assert public_key_to_bytes(public) == try_load_public_key(north.keys / "node.pub")
    request = json.loads(north.request.read_text())
    assert (north.keys / "node.pub").read_text().strip() == request["node_key"]


def test_a_list_shows_what_has_expired(server: ServerPaths, site: Make, say: Say) -> None:
    registry = Registry.open(server.registry)
    request, long_ago = read_request(site("north").request), datetime(2020, 1, 1, tzinfo=UTC)
    admit(server, registry, request, long_ago, renewal=False)
    registry.close()
    said = say("wardround-server", "sites", "list", home=server.home).out
    assert re.search(r"north +expired +2021-01-30 +-\d{4}", said)
