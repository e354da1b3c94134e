"""A real Orthanc behind TLS: the hospital's own authority, this site's certificate, a login."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from client.home import SourceConfig, make_home, read_config
from client.paths import HomePaths
from daemons.certificates import (
    Authority,
    new_authority,
    pem,
    read_signing_request,
    server_certificate,
    signing_request,
    site_certificate,
)
from daemons.secrets import new_tls_key, private_pem

pytestmark = pytest.mark.slow
NOW = datetime.now(UTC)


def ours(signer: Authority) -> bytes:
    """A certificate of this site and its key."""
    key = new_tls_key()
    request = read_signing_request(signing_request(key, "north"), "north")
    return pem(site_certificate(signer, request, NOW)) + private_pem(key)


@pytest.fixture
def secured(archive: Any, tmp_path: Path) -> Any:
    """The archive behind an nginx that speaks TLS; it asks for a certificate of the hospital."""
    if not shutil.which("nginx"):
        pytest.skip("needs Debian's package nginx-light")
    hospital, strangers = new_authority("hospital", NOW), new_authority("strangers", NOW)
    keys, key = HomePaths(archive.home).keys, new_tls_key()
    shown = pem(server_certificate(hospital, key.public_key(), ["127.0.0.1"], NOW))
    (tmp_path / "server.pem").write_bytes(private_pem(key) + shown)
    (tmp_path / "admitted.pem").write_bytes(hospital.pem)
    for name, block in (
        ("ca.pem", hospital.pem),
        ("other-ca.pem", strangers.pem),
        ("site.pem", ours(hospital)),
        ("other.pem", ours(strangers)),
    ):
        (keys / name).write_bytes(block)
        (keys / name).chmod(0o600)
    archive.authority, archive.certificate = str(keys / "ca.pem"), str(keys / "site.pem")
    archive.start(
        f"ssl_certificate {tmp_path}/server.pem; ssl_certificate_key {tmp_path}/server.pem; "
        f"ssl_client_certificate {tmp_path}/admitted.pem; ssl_verify_client on;"
    )
    return archive


def checks(archive: Any) -> dict[str, str]:
    made = json.loads(archive.site("preflight", "--format", "json").stdout)["checks"]
    return {
        one["name"].removeprefix("source-1-"): one["verdict"]
        for one in made
        if one["name"].startswith("source-1")
    }


def test_everything_that_a_hospital_asks_for_at_once(
    secured: Any,
    read: Any,
    made: Callable[..., Dataset],
    write: Callable[..., Path],
    tmp_path: Path,
) -> None:
    home, right = secured.home, {"authority": "ca.pem", "certificate": "site.pem"}
    config = read_config(home).model_copy(update={"sources": (SourceConfig(where=secured.url),)})
    make_home(home, config)
    secured.upload(write(tmp_path / "first", *(made(i) for i in range(3))))
    wrongs: list[tuple[dict[str, str], str, str]] = [
        ({"authority": "other-ca.pem"}, "certificate is not trusted here", "ok ok fail warn"),
        ({"certificate": "other.pem"}, "refuses the login", "ok ok ok fail"),
        ({"password": "wrong"}, "refuses the login", "ok ok ok fail"),
    ]
    for wrong, sentence, verdicts in wrongs:
        secured.log_in(**{**right, **wrong})
        done = secured.site("import")
        assert (done.returncode, sentence in done.stderr) == (1, True), done.stderr
        assert " ".join(checks(secured).values()) == verdicts

    secured.log_in(**right)
    assert set(checks(secured).values()) == {"ok"}
    assert secured.imported()["taken"] == {"cases": 1, "patients": 1}

    late = made(7, StudyInstanceUID="1.5", SeriesInstanceUID="1.5.1", PatientID="third")
    secured.upload(write(tmp_path / "late", late))
    told = secured.imported()
    assert told["taken"] == {"cases": 1, "patients": 1}
    assert [s["count"] for s in told["skipped"] if "as they were" in s["reason"]] == [1]

    secured.log_in(**{**right, "password": "ran-out"})
    lost = read(secured, 2)
    assert (lost.returncode, "cannot be reached" in lost.stderr) == (1, True)
    secured.log_in(**right)
    values, _ = json.loads(read(secured, 2).stdout)
    assert values == [[1000, 1001, 1002], [1007]]
