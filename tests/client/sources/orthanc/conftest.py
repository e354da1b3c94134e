"""A real Orthanc in a network of its own: it would bind every interface of this machine."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import pytest

from client.paths import HomePaths

PLUGINS = Path("/usr/share/orthanc/plugins")
NGINX = """
daemon off; worker_processes 1; pid {here}/nginx.pid; error_log {here}/nginx.log;
events {{}}
http {{
  access_log off; client_max_body_size 0; client_body_temp_path {here}/body;
  proxy_temp_path {here}/proxy; fastcgi_temp_path {here}/f; uwsgi_temp_path {here}/u;
  scgi_temp_path {here}/s;
  server {{
    listen 127.0.0.1:18443 ssl;
    {front}
    location / {{ proxy_pass http://127.0.0.1:18042; proxy_set_header Host $http_host; }}
  }}
}}
"""
LOGIN = ("site", "let-me-in")
UPLOAD = """
import json, pathlib, requests, sys
told = json.loads(sys.argv[2])
with requests.Session() as session:
    session.trust_env = False  # its own bundle would count before ours
    session.verify, session.cert = told["authority"] or True, told["certificate"] or None
    for file in sorted(pathlib.Path(sys.argv[1]).iterdir()):
        session.post(told["url"] + "/instances", data=file.read_bytes(),
                     auth=("site", "let-me-in"), timeout=20).raise_for_status()
"""


def lacking() -> str:
    """Why there can be no Orthanc here; "" if there can."""
    if not (shutil.which("Orthanc") and PLUGINS.is_dir()):
        return "needs Debian's packages orthanc and orthanc-dicomweb"
    if not (shutil.which("nsenter") and shutil.which("unshare") and shutil.which("ip")):
        return "needs unshare, nsenter and ip"
    made = subprocess.run(["unshare", "-n", "ip", "link"], check=False, capture_output=True)
    return "needs the right to make network namespaces" if made.returncode else ""


@dataclass
class Orthanc:
    """An Orthanc that may be ended and started again, and the network that it alone is in.

    Attributes:
        home: of the site.
        folder: for its files.
        network: a process that keeps the network.
        log: takes what it prints.
        front: directives of the nginx before it, which speaks TLS; "" for plain http. Debian's
            Orthanc 1.10.1 has TLS of its own, and dies of a segmentation fault at the first call.
        authority: file for its uploads.
        certificate: file for its uploads.
    """

    home: Path
    folder: Path
    network: subprocess.Popen[bytes]
    log: TextIO
    front: str = ""
    authority: str = ""
    certificate: str = ""
    child: subprocess.Popen[bytes] | None = None
    nginx: subprocess.Popen[bytes] | None = None

    @property
    def root(self) -> str:
        """Its address."""
        return "https://127.0.0.1:18443" if self.front else "http://127.0.0.1:18042"

    @property
    def url(self) -> str:
        """Its DICOMweb root."""
        return f"{self.root}/dicom-web"

    def start(self, front: str = "") -> None:
        """Start it, over what it held before."""
        config = {
            "HttpPort": 18042,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": True,
            "RegisteredUsers": dict([LOGIN]),
            "DicomServerEnabled": False,
            "Plugins": [str(PLUGINS)],
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
            "StorageDirectory": str(self.folder / "storage"),
            "IndexDirectory": str(self.folder / "storage"),
        }
        (self.folder / "orthanc.json").write_text(json.dumps(config))
        command = self.entered("Orthanc", str(self.folder / "orthanc.json"))
        self.child = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        self._listens(18042)
        if front:
            self.front = front
            (self.folder / "nginx.conf").write_text(NGINX.format(here=self.folder, front=front))
            command = self.entered("nginx", "-c", self.folder / "nginx.conf")
            self.nginx = subprocess.Popen(command, stdout=self.log, stderr=self.log)
            self._listens(18443)

    def _listens(self, port: int) -> None:
        until = time.monotonic() + 60
        probe = f"import socket; socket.create_connection(('127.0.0.1', {port}), 1)"
        while self.run(probe).returncode and time.monotonic() < until:
            time.sleep(0.1)

    def end(self, *, kill: bool = False) -> None:
        """End it."""
        if self.child is not None:
            (self.child.kill if kill else self.child.terminate)()
            self.child.wait(30)
            self.child = None

    def entered(self, *command: str | Path) -> list[str]:
        """A command as it runs in the network."""
        return ["nsenter", "-t", str(self.network.pid), "-n", *map(str, command)]

    def run(self, code: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Runs Python in the network."""
        return subprocess.run(
            self.entered(sys.executable, "-c", code, *words),
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def site(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Runs `wardround-site` in the network."""
        return self.run(self.command, *words, "--home", self.home)

    command = "from client.cli import main; main()"

    def imported(self) -> dict[str, Any]:
        """What an import of everything says."""
        done = self.site("import", self.url, "--format", "json")
        assert done.returncode == 0, done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    def upload(self, folder: Path) -> None:
        """Store a folder's files in it."""
        told = {"url": self.root, "authority": self.authority, "certificate": self.certificate}
        done = self.run(UPLOAD, folder, json.dumps(told))
        assert done.returncode == 0, done.stderr

    def log_in(self, **login: str) -> None:
        """Writes the site's login, by default the right one."""
        file = HomePaths(self.home).keys / "dicomweb.json"
        right = dict(zip(("user", "password"), LOGIN, strict=True))
        file.write_text(json.dumps({self.url: {**right, **login}}))
        file.chmod(0o600)


@pytest.fixture
def archive(home: Path, tmp_path: Path) -> Iterator[Orthanc]:
    """An Orthanc that is not started yet."""
    if why := lacking():
        pytest.skip(why)
    keep = ["unshare", "-n", "bash", "-c", "ip link set lo up && echo up && exec sleep 600"]
    network = subprocess.Popen(keep, stdout=subprocess.PIPE)
    assert network.stdout
    assert network.stdout.readline() == b"up\n"
    with (tmp_path / "orthanc.log").open("w") as log:
        one = Orthanc(home, tmp_path, network, log)
        yield one
        one.end()
        if one.nginx is not None:
            one.nginx.terminate()
            one.nginx.wait(30)
    network.kill()
    network.wait()
    network.stdout.close()


@pytest.fixture
def read() -> Callable[[Orthanc, int], subprocess.CompletedProcess[str]]:
    """Reads the first cases of a home by way of the archive; prints corner values and a shape."""
    code = """
import json, pathlib, sys, numpy as np
from client.opening import open_home
site, count = open_home(pathlib.Path(sys.argv[1])), int(sys.argv[2])
volumes = [site.images.volume(row) for row in range(count)]
small = site.images.take(np.arange(count), (1, 8, 8))
print(json.dumps([sorted(v.slices[:, 0, 0].tolist() for v in volumes), small.shape]))
site.images.close()
"""
    return lambda archive, count: archive.run(code, archive.home, str(count))
