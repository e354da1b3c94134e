"""What imports of made and of real files share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
)

from client.home import open_store
from client.joining import make_site
from client.opening import open_home
from client.patients import site_key
from client.site import Site
from client.sources.decoder import Decoder, Limits
from client.sources.dicom_folder import DicomFolder
from client.sources.importing import Import, Tally
from client.sources.located import LocatedImages
from protocol.codec import digest
from protocol.study import Study

PLANTED = "ZEBEDEE-QUILLFEATHER"

Made = Callable[..., Dataset]


@pytest.fixture
def opened(decoder: Decoder) -> Iterator[Callable[[Path], Site]]:
    """Opens homes, all with one decoder."""
    sites: list[Site] = []

    def one(home: Path) -> Site:
        site = open_home(home)
        assert isinstance(site.images, LocatedImages)
        sites.append(replace(site, images=replace(site.images, decoder=decoder)))
        return sites[-1]

    yield one
    for site in sites:
        site.store.close()


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(Limits(seconds=30)) as one:
        yield one


@pytest.fixture
def home(tmp_path: Path) -> Path:
    make_site(tmp_path / "home", "north")
    return tmp_path / "home"


@dataclass(frozen=True)
class Steps:
    """What a study's steps over a site take; see the fixtures of these names."""

    opened: Callable[[Path], Site]
    tiny_study: Callable[..., Study]
    first_weights: Callable[[Study], Any]
    ask: Callable[..., Any]
    read_cases: Callable[..., int]

    def begun(self, home: Path) -> tuple[Site, Study, Any]:
        """The site with a study approved, the study, and its first weights."""
        study = self.tiny_study()
        arrays = self.first_weights(study)
        site = replace(self.opened(home), durable=False, least_patients=0)
        with site.store.transaction():
            site.store.steps.approve(study, digest(arrays))
        return site, study, arrays


@pytest.fixture
def steps(opened: Any, tiny_study: Any, first_weights: Any, ask: Any, read_cases: Any) -> Steps:
    return Steps(opened, tiny_study, first_weights, ask, read_cases)


@pytest.fixture
def take(home: Path, decoder: Decoder) -> Callable[..., Tally]:
    def one(root: Path, *, allowed: frozenset[str] = frozenset(), dry: bool = False) -> Tally:
        store = open_store(home)
        source = DicomFolder(root, decoder, allowed)
        tally = Import(store, site_key(home), decoder, dry).run(source)
        store.close()
        return tally

    return one


@pytest.fixture
def planted() -> str:
    """A name that is in every made file, in its path, and must be nowhere else."""
    return PLANTED


@pytest.fixture
def made() -> Made:
    return _made


@pytest.fixture
def write() -> Callable[..., Path]:
    return _write


@pytest.fixture
def bytes_of() -> Callable[[Path], bytes]:
    return _bytes_of


def _made(i: int = 0, **changes: Any) -> Dataset:
    """One CT slice of 16 x 12; series, study and patient the same unless they are changed."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = CTImageStorage
    data.SOPInstanceUID = f"1.2.3.{i}"
    data.StudyInstanceUID, data.SeriesInstanceUID = "1.2", "1.2.3"
    data.PatientName, data.PatientID, data.Modality = f"{PLANTED}^A", f"{PLANTED}-7", "CT"
    data.StudyDescription = data.ManufacturerModelName = PLANTED
    data.StudyDate, data.PatientAge, data.PatientSex = "20240131", "093Y", "F"
    data.Rows, data.Columns, data.SamplesPerPixel = 16, 12, 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation = 15, 1
    data.RescaleSlope, data.RescaleIntercept = 1, -1000
    data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    data.ImagePositionPatient = [0, 0, 2.5 * i]
    data.PixelSpacing, data.InstanceNumber = [0.5, 0.7], 100 - i
    data.PixelData = np.full((16, 12), 1000 + i, "<i2").tobytes()
    for name, value in changes.items():
        setattr(data, name, value)
    return data


def _write(folder: Path, *slices: Dataset) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for n, data in enumerate(slices):
        data.save_as(folder / f"{PLANTED}-{n}", enforce_file_format=True)
    return folder


def _bytes_of(home: Path) -> bytes:
    return b"".join(p.read_bytes() for p in sorted(home.rglob("*")) if p.is_file())
