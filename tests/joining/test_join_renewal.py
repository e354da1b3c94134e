"""Renewal: the old key serves until the new kit is there, and no crash leaves a mixture."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from client.home import read_config
from client.joining import join, joined, make_site, renew, request_of, settle
from client.paths import HomePaths
from daemons.certificates import read_certificate, signing_request
from daemons.joining import Kit, as_file, make_request, read_kit
from daemons.secrets import new_node_key, new_tls_key, public_pem, tls_key
from daemons.terminal import Refused
from protocol.files import replace_file
from server.home import ServerPaths
from server.joining import admit, examine, revoke
from server.registry.registry import Registry
from server.registry.site_shelf import SiteShelf

Make = Callable[..., HomePaths]
Add = Callable[..., Path]
Say = Callable[..., Any]
NOW = datetime.now(UTC)
LATER = NOW + timedelta(days=360)


def matches(paths: HomePaths) -> bool:
    """Whether key and certificate in place belong together."""
    certificate = read_certificate((paths.kit / "site.crt").read_bytes())
    key = tls_key((paths.keys / "coordination.key").read_bytes())
    return public_pem(certificate.public_key()) == public_pem(key.public_key())


def test_a_renewal_takes_the_place_at_once(
    server: ServerPaths, site: Make, add: Add, say: Say
) -> None:
    north = site("north")
    with pytest.raises(Refused, match="not joined yet"):
        renew(north.home)
    first = read_kit(add(north))
    join(north.home, first, NOW)
    old = (north.keys / "coordination.key").read_bytes()
    node = (north.keys / "node").read_bytes()
    renew(north.home)
    assert (north.keys / "coordination.key").read_bytes() == old
    assert matches(north)
    kit = add(north, renewal=True)
    north.run.mkdir()
    said = say("wardround-site", "join", kit, "--yes", home=north.home)
    assert said.code == 0, said.err
    assert (north.run / "restart-attendance").exists()
    assert (north.keys / "coordination.key").read_bytes() != old
    assert (north.keys / "node").read_bytes() == node
    assert not (north.keys / "coordination.next.key").exists()
    assert matches(north)
    assert (north.keys / "coordination.key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(Refused, match="another request"):
        join(north.home, first, NOW)


def test_asked_twice_it_is_the_same_fresh_key(site: Make, add: Add) -> None:
    north = site("north")
    join(north.home, read_kit(add(north)), NOW)
    early = renew(north.home)
    kit = add(north, renewal=True)
    assert renew(north.home).fingerprint != early.fingerprint  # signed anew
    join(north.home, read_kit(kit), NOW)
    assert matches(north)


def test_an_older_kit_of_the_same_key_is_refused(server: ServerPaths, site: Make) -> None:
    north = site("north")
    registry = Registry.open(server.registry)
    request = request_of(north.home)
    first = admit(server, registry, request, NOW, renewal=False)
    second = admit(server, registry, request, LATER, renewal=True)
    registry.close()
    join(north.home, first, NOW)
    join(north.home, second, LATER)
    join(north.home, second, LATER)  # once more changes nothing
    with pytest.raises(Refused, match="older"):
        join(north.home, first, NOW)
    assert settle(north.home) == second


def test_wherever_it_was_cut_short_it_is_brought_to_its_end(site: Make, add: Add) -> None:
    """`kit.json` is there and everything else is old: as after a power cut in between."""
    north = site("north")
    join(north.home, read_kit(add(north)), NOW)
    first = (north.kit / "site.crt").read_bytes()
    renew(north.home)
    second: Kit = read_kit(add(north, renewal=True)).model_copy(update={"server": "other:1"})
    replace_file(north.kit / "kit.json", as_file(second), sync=False)
    assert (north.kit / "site.crt").read_bytes() == first
    assert joined(north.home) == second
    assert matches(north)
    config = read_config(north.home)
    assert config.deployment is not None
    assert config.deployment.server == "other:1"
    for name in ("server-ca.crt", "site.crt", "heads.pub"):
        whole = (north.kit / name).read_bytes()
        (north.kit / name).unlink()
        settle(north.home)
        assert (north.kit / name).read_bytes() == whole


def test_a_renewal_keeps_the_node_key_and_what_flower_calls_it(
    server: ServerPaths, site: Make
) -> None:
    north = site("north")
    registry = Registry.open(server.registry)
    shelf = SiteShelf(registry.connection)
    request = request_of(north.home)
    admit(server, registry, request, NOW, renewal=False)
    assert shelf.register("north", request.node_key, 77)
    admit(server, registry, request, LATER, renewal=True)
    renewed = shelf.find("north")
    assert renewed is not None
    assert renewed.node == 77
    assert renewed.not_after > (NOW + timedelta(days=700)).isoformat()
    other = make_request("north", signing_request(new_tls_key(), "north"), new_node_key())
    with pytest.raises(Refused, match="another node key"):
        examine(registry, "north", other, renewal=True)
    revoke(server, registry, "north", LATER)
    assert [(one.node, one.site) for one in shelf.burned()] == [(77, "north")] * 2
    admit(server, registry, other, LATER, renewal=False)
    again = shelf.find("north")
    assert again is not None
    assert (again.node, again.number, again.active) == (None, 0, True)
    registry.close()


def test_a_node_registered_while_its_site_was_revoked_is_known(
    server: ServerPaths, site: Make
) -> None:
    registry = Registry.open(server.registry)
    shelf = SiteShelf(registry.connection)
    request = request_of(site("north").home)
    admit(server, registry, request, NOW, renewal=False)
    revoke(server, registry, "north", NOW)
    assert not shelf.register("north", request.node_key, 5)
    assert [one.node for one in shelf.burned()] == [5]
    assert shelf.active() == []
    registry.close()


def test_a_home_is_made_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("daemons.secrets.os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            make_site(tmp_path / "north", "north")
    left = {path.name for path in (tmp_path / "north").iterdir()}
    assert left == {"site.db"}
    make_site(tmp_path / "north", "north")
