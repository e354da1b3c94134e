"""A reading session on imported DICOM that is full of names: none of them is anywhere after it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from client.audit.chain import lines
from client.audit.export import exported
from client.audit.report import account, markdown, names_of
from client.home import Deployment, make_home, open_store, read_config
from client.joining import make_site
from client.paths import HomePaths
from client.patients import site_key
from client.sources.decoder import Decoder, Limits
from client.sources.dicom_folder import DicomFolder
from client.sources.importing import Import
from client.store.reader_shelf import Account
from client.store.reading_shelf import Opening
from daemons.ports import free_port
from daemons.web.passwords import hashed
from protocol.study import Study

PASSWORD = "a long enough word"  # noqa: S105 - of a room that lives for a second
CANARY = "ZEBEDEE-QUILLFEATHER"
AT = "2026-01-05T08:00:00+00:00"


def slices(folder: Path, case: int) -> None:
    """A made CT series of two slices that names its patient wherever DICOM lets it."""
    folder.mkdir(parents=True)
    for number in range(2):
        data = Dataset()
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, f"1.2.{case}.{number}"
        data.StudyInstanceUID, data.SeriesInstanceUID = f"1.2.{case}", f"1.2.{case}.9"
        data.PatientName, data.PatientID = f"{CANARY}^A", f"{CANARY}-{case}"
        data.StudyDescription = data.SeriesDescription = data.InstitutionName = CANARY
        data.Modality, data.AccessionNumber = "CT", f"{CANARY[:12]}"
        data.Rows, data.Columns, data.SamplesPerPixel = 16, 12, 1
        data.PhotometricInterpretation, data.BitsAllocated, data.BitsStored = "MONOCHROME2", 16, 16
        data.HighBit, data.PixelRepresentation = 15, 1
        data.RescaleSlope, data.RescaleIntercept = 1, -1000
        data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        data.ImagePositionPatient, data.PixelSpacing = [0, 0, 2.5 * number], [0.5, 0.7]
        data.InstanceNumber = number
        data.PixelData = np.full((16, 12), 1000 + 7 * number + case, "<i2").tobytes()
        data.save_as(folder / f"{CANARY}-{number}", enforce_file_format=True)


def hospital(folder: Path, study: Study) -> tuple[Path, str]:
    """A site whose cases were imported, with an open cycle and accounts; the room's address."""
    for case in range(3):
        slices(folder / "pacs" / f"{CANARY}-{case}", case)
    home, port = folder / f"{CANARY}-home", free_port()
    make_site(home, "north")
    with Decoder(Limits(seconds=30)) as decoder, closing(open_store(home, durable=False)) as store:
        tally = Import(store, site_key(home), decoder).run(DicomFolder(folder / "pacs", decoder))
        assert tally.taken.total() == 3
        with store.transaction():
            store.steps.approve(study, "w")
            store.readings.grant(study.identity, 0, 0, 9)
            cases = [row[0] for row in store.connection.execute("SELECT id FROM cases")]
            opened = [Opening(case, "query", (0.125, 0.75, 0.125)) for case in cases]
            store.readings.open(study.identity, 0, opened)
            for name, role in (("ann", "reader"), ("dora", "admin"), ("otto", "auditor")):
                store.readers.add(Account(name, role, hashed(PASSWORD), AT))  # type: ignore[arg-type]
    config = read_config(home)
    deployment = Deployment(room=f"127.0.0.1:{port}")
    make_home(home, config.model_copy(update={"deployment": deployment}))
    return home, str(httpx.URL(scheme="http", host="127.0.0.1", port=port))


@pytest.fixture
def started() -> Iterator[Callable[[Path], None]]:
    """Runs the room's own program on homes."""
    children: list[subprocess.Popen[bytes]] = []

    def start(home: Path) -> None:
        log = home / "logs" / "room.log"
        log.parent.mkdir(exist_ok=True)
        command = [sys.executable, "-Iu", "-m", "client.room", "--home", str(home)]
        with log.open("ab") as out:
            children.append(subprocess.Popen(command, stdout=out, stderr=out))

    yield start
    for child in children:
        os.kill(child.pid, signal.SIGTERM)
        child.wait(20)


def listened(client: httpx.Client) -> list[str]:
    """All that the room says from here on, headers and bodies."""
    heard: list[str] = []

    def hear(answer: httpx.Response) -> None:
        answer.read()
        heard.append(f"{answer.headers} {answer.content.decode('latin1')}")

    client.event_hooks["response"].append(hear)
    return heard


def sign_in(client: httpx.Client, name: str, password: str = PASSWORD) -> int:
    return client.post("/api/sign-in", json={"name": name, "password": password}).status_code


def session(client: httpx.Client, study: Study, home: Path) -> None:
    """Sign-ins, good and bad; every case read; a case whose files are gone; the other roles."""
    which = {"study": study.identity}
    assert sign_in(client, "ann", "wrong") == sign_in(client, CANARY, "wrong") == 401
    assert sign_in(client, "ann") == 200
    offer = client.post("/api/next", json=which).json()
    for number in range(3):
        place = {**which, "cycle": 0, "position": offer["case"]["position"]}
        image = client.get("/api/image", params=place)
        assert image.status_code == (410 if number == 2 else 200)
        assert client.post("/api/draft", json={**place, "comment": "so"}).json()["kept"]
        said = {"answer": "answered", "value": [1, 0, 0], "seconds": 2.0, "comment": "so"}
        body = {**place, **said, "submission": f"{number:020d}"}
        offer = client.post("/api/answer", json=body).json()
        if number == 1:  # the archive is reorganised
            (home.parent / "pacs").rename(home.parent / "gone")
    client.post("/api/answer", json={**body, "value": [7]})
    client.post("/api/undo", json=which)
    client.post("/api/sign-out", json={})
    for name, path in (("dora", "/api/overview"), ("otto", "/api/openapi.json")):
        assert sign_in(client, name) == 200
        assert client.get(path).status_code == 200
    assert client.post("/api/audit", json={}).status_code == 200


@pytest.mark.slow
def test_no_name_path_or_key_is_in_an_answer_a_log_or_the_audit_log(
    make_room: Callable[..., Any], started: Callable[[Path], None], tmp_path: Path
) -> None:
    study = make_room().study
    home, address = hospital(tmp_path, study)
    started(home)
    with httpx.Client(base_url=address, trust_env=False, timeout=30) as client:
        heard = listened(client)
        end = time.monotonic() + 30
        while not heard and time.monotonic() < end:
            with suppress(httpx.TransportError):
                client.get("/")
            time.sleep(0.05)
        session(client, study, home)
    with closing(open_store(home, durable=False)) as store:
        sql = "SELECT key FROM cases UNION SELECT key FROM patients"
        keys = [row[0] for row in store.connection.execute(sql)]
        audit = str([line.document for line in lines(store)])
        report = markdown(account(store), "north", names_of(store))
        export = "".join(exported(store, "north", None))
    logs = "".join(p.read_text(errors="replace") for p in home.rglob("*.log"))
    secret = (HomePaths(home).keys / "site.secret").read_bytes()
    said = {"answers": "".join(heard), "logs": logs, "log": audit, "report": report, "file": export}
    assert len(keys) == 6
    assert len(heard) > 20
    for place, text in said.items():
        for word in (CANARY, str(tmp_path), "pacs", "0.125", secret.hex(), *keys):
            assert word.lower() not in text.lower(), (place, word)
        assert secret.decode("latin1") not in text, place
    assert "ann read 3 cases" in report
    assert "somebody without an account was refused at the door 1 time" in report
