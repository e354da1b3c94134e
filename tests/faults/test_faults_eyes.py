"""What curious eyes see: every byte that a site sends, and every address that anything tries."""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.home import HomePaths, make_home, read_config
from server.home import ServerPaths
from simulations.poc.layout import Layout
from simulations.poc.relay import Relay
from simulations.poc.rig import federation, room_for_relay
from simulations.poc.soundness import check_sound, rows

pytestmark = pytest.mark.faults

PIXELS = np.frombuffer(
    bytes.fromhex("c0ffee5eedba5eba11decade0ddba115a1ad0b0e1ef7c0dec0dedbad"), "u1"
)
NAME = "ZZYZX-DOE-JANE-19700101"


def plant(layout: Layout) -> None:
    """Canaries in the pixels and in the file names of every site's images."""
    for name in layout.names:
        home = layout.site(name)
        images = np.load(home / "images.npy")
        images[:, 0, 0, : len(PIXELS)] = PIXELS
        np.save(home / f"{NAME}.npy", images, allow_pickle=False)
        (home / "images.npy").unlink()
        make_home(home, read_config(home).model_copy(update={"images": f"{NAME}.npy"}))


def between(layout: Layout, record: Path) -> Relay:
    """A relay that can read what it passes, since it holds the keys of both ends."""
    pki = ServerPaths(layout.server).pki
    facing = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    facing.load_cert_chain(pki / "server.crt", pki / "server.key")
    facing.load_verify_locations(pki / "site-ca.crt")
    facing.verify_mode = ssl.CERT_REQUIRED
    facing.set_alpn_protocols(["h2", "http/1.1"])

    def onward(end: ssl.SSLObject) -> ssl.SSLContext:
        shown: Any = end.getpeercert()
        names = {key: value for part in shown["subject"] for key, value in part}
        site = HomePaths(layout.site(names["commonName"]))
        context = ssl.create_default_context(cafile=str(pki / "server-ca.crt"))
        context.load_cert_chain(site.kit / "site.crt", site.keys / "coordination.key")
        if chosen := end.selected_alpn_protocol():
            context.set_alpn_protocols([chosen])
        return context

    return Relay(*room_for_relay(layout), facing, onward, record)


def disguises(canary: bytes) -> list[bytes]:
    """The canary as it may look in what travels."""
    text = canary.decode("latin-1")
    return [canary, canary.hex().encode(), base64.b64encode(canary)[:-4], text.encode("utf-16-le")]


def test_no_canary_is_in_anything_that_a_site_sends(tmp_path: Path) -> None:
    record = tmp_path / "sent.bin"
    relays: list[Relay] = []

    def before(layout: Layout) -> None:
        plant(layout)
        relays.append(between(layout, record))
        relays[0].start()

    with federation(tmp_path / "poc", 2, before=before) as broken:
        assert broken.until_over() == "ended"
        check_sound(broken.layout, broken.identity)
        database = broken.layout.site("site-01") / "site.db"
        keys = [str(key) for (key,) in rows(database, "SELECT key FROM cases")]
        keys += [str(key) for (key,) in rows(database, "SELECT key FROM patients")]
    relays[0].stop()
    sent = record.read_bytes()
    assert b"SiteUpdate" in sent  # the eyes are open
    assert b"SiteReport" in sent
    canaries = [PIXELS.tobytes(), NAME.encode(), b"phantom-00", b"patient-00"]
    canaries += [str(broken.layout.out).encode(), *(key.encode() for key in keys[:400])]
    found = [c for c in canaries for look in disguises(c) if look in sent]
    assert found == []


WATCH = """
import json, socket, subprocess, sys, threading
seen = []
eye = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(0x0003))
eye.bind(("eyes", 0))
def watch():
    while True:
        frame = eye.recv(65536)
        seen.append(frame[12:42].hex())
threading.Thread(target=watch, daemon=True).start()
probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
probe.sendto(b"are the eyes open", ("198.51.100.7", 9))
command = [sys.argv[1], "poc", "-n", "2", "--format", "json"]
done = subprocess.run(command, capture_output=True, text=True)
print(json.dumps({"code": done.returncode, "err": done.stderr[-2000:], "frames": seen}))
"""

NAMESPACE = """
ip link set lo up && ip link add eyes type veth peer name far && ip link set eyes up &&
ip link set far up &&
ip addr add 192.0.2.1/24 dev eyes && ip route add default via 192.0.2.2 &&
ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev eyes nud permanent &&
(echo 1 > /proc/sys/net/ipv6/conf/eyes/disable_ipv6; true) && exec "$@"
"""


def test_no_process_tries_any_address_but_its_own(tmp_path: Path) -> None:
    """In a network of its own, whose only way out is watched: nothing but the probe goes there."""
    allowed = subprocess.run(["unshare", "-n", "true"], check=False).returncode == 0
    if not allowed:
        pytest.skip("network namespaces are not allowed here")
    command = str(Path(sys.executable).parent / "wardround")
    inside = ["sh", "-c", NAMESPACE, "sh", sys.executable, "-c", WATCH, command]
    done = subprocess.run(
        ["unshare", "-n", *inside], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["code"] == 0, said["err"]
    frames = [frame for frame in said["frames"] if not frame.startswith("86dd")]
    assert len(frames) >= 1
    probe = [frame for frame in frames if "c6336407" in frame]  # 198.51.100.7
    assert len(probe) == 1
    assert [frame for frame in frames if frame not in probe] == []
