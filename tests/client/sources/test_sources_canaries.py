"""Names planted in DICOM headers and paths: a cycle sends, keeps, prints and exports none of them.

Only `keys`, which never leaves, is not searched.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.common.serde import recorddict_to_proto
from pydicom.dataset import Dataset

from client.cli import app
from client.site import Site
from protocol.records import Grant
from protocol.study import Study
from protocol.wire import to_wire

pytestmark = pytest.mark.slow
UID = "1.2.826.0.1.4242424242"
TEXTS = [
    "PatientName",
    "PatientID",
    "OtherPatientIDs",
    "PatientComments",
    "PatientAddress",
    "AccessionNumber",
    "StudyID",
    "InstitutionName",
    "InstitutionAddress",
    "ReferringPhysicianName",
    "OperatorsName",
    "StationName",
    "StudyDescription",
    "SeriesDescription",
    "ProtocolName",
    "RequestedProcedureID",
    "DeviceSerialNumber",
    "ManufacturerModelName",
    "Manufacturer",
    "BodyPartExamined",
    "ImageComments",
    "PatientBirthName",
]
BIRTH = "19610405"


@pytest.fixture
def planted_folder(made: Callable[..., Dataset], planted: str, tmp_path: Path) -> Path:
    """40 images of 20 patients; the 41st is broken; names wherever a header or a path takes one."""
    folder = tmp_path / f"{planted}-folder"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(41):
        words = dict.fromkeys(TEXTS, f"QUILLFEATHER_{i // 2}")
        uids = {
            n: f"{UID}.{i}.{k}" for k, n in enumerate(("StudyInstanceUID", "SeriesInstanceUID"))
        }
        pixels = rng.integers(0, 900, (16, 12)) + 900 * (i % 2)
        data = made(i, **words, **uids, PatientBirthDate=BIRTH, SOPInstanceUID=f"{UID}.{i}.9",
                    PixelData=pixels.astype("<i2").tobytes() if i < 40 else b"\0\0")  # fmt: skip
        data.private_block(0x0011, planted, create=True).add_new(1, "LO", f"{planted}-private")
        data.save_as(folder / f"{planted}-{i}.dcm", enforce_file_format=True)
    return folder


def disguises(canary: str) -> list[bytes]:
    plain = canary.encode()
    looks = [plain, canary.lower().encode(), plain.hex().encode(), canary.encode("utf-16-le")]
    return looks + [base64.b64encode(b"x" * k + plain)[4:-4] for k in range(3)]


def sent_in_a_cycle(site: Site, study: Study, arrays: Any, steps: Any) -> bytes:
    """Every reply of a cycle as Flower would carry it."""
    replies = [
        steps.ask(site, study, "hello"),
        steps.ask(site, study, "report", arrays=arrays),
        steps.ask(site, study, "select", grant=Grant(8, "")),
    ]
    assert steps.read_cases(site.store, study) == 8
    replies.append(steps.ask(site, study, "train", arrays=arrays))
    replies.append(steps.ask(site, study, "evaluate", arrays=arrays))
    replies.append(steps.ask(site, study, "close"))
    sent = [recorddict_to_proto(to_wire(reply)).SerializeToString() for reply in replies]
    for kind, block in zip(("Hello", "SiteReport", "Selected", "SiteUpdate"), sent, strict=False):
        assert kind.encode() in block  # the eyes are open
    return b"".join(sent)


def exported(site: Site, study: Study, out: Path) -> bytes:
    out.mkdir()
    for what in ("pool", "readings", "labels"):
        for end in ("csv", "json"):
            words = ["export", what, "--study", study.name, "--out", str(out / f"{what}.{end}")]
            app([*words, "--home", str(site.home)], standalone_mode=False)
    return b"".join(file.read_bytes() for file in sorted(out.iterdir()))


def test_no_planted_name_leaves_is_kept_printed_or_exported(
    planted_folder: Path,
    planted: str,
    home: Path,
    steps: Any,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    for more in (["--dry-run"], [], ["--format", "json"]):
        app(["import", str(planted_folder), "--home", str(home), *more], standalone_mode=False)
    site, study, arrays = steps.begun(home)
    sent = sent_in_a_cycle(site, study, arrays, steps)
    site.images.volume(0)
    files = exported(site, study, tmp_path / "out")
    for words in (["status"], ["audit", "verify"]):
        app([*words, "--home", str(home)], standalone_mode=False)
    printed = "".join(capfd.readouterr())
    assert "40 cases of 20 patients" in printed
    kept = b"".join(
        path.read_bytes()
        for path in sorted(home.rglob("*"))
        if path.is_file() and "keys" not in path.relative_to(home).parts
    )
    assert len(kept) > 10_000
    keys = [str(k) for (k,) in site.store.connection.execute("SELECT key FROM cases")]
    for place, block, canaries in (
        ("sent", sent, [planted, "QUILLFEATHER", UID, BIRTH, str(tmp_path), *keys]),
        ("kept", kept, [planted, "QUILLFEATHER", UID, str(planted_folder)]),
        ("exports", files, [planted, "QUILLFEATHER", UID, BIRTH, str(planted_folder)]),
        ("printed", printed.encode(), [planted, "QUILLFEATHER", UID, BIRTH]),
        ("logged", caplog.text.encode(), [planted, "QUILLFEATHER", UID, BIRTH]),
    ):
        found = [c for c in canaries for look in disguises(c) if look in block]
        assert found == [], place
