"""DICOM pixels: real files of several makers, and made ones where a trap must be exact."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEGLossless,
    JPEGLSLossless,
    RLELossless,
)

from client.home import open_store
from client.patients import site_key
from client.site import Site
from client.sources.decoder import Decoder, Limits
from client.sources.dicom_folder import DicomFolder
from client.sources.dicom_pixels import frames
from client.sources.importing import Import, Tally

REAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "dicom"
real = pytest.mark.skipif(not REAL.is_dir(), reason="the developers' DICOM files are not here")
EVERYTHING = frozenset({"secondary", "burned-in", "unmarked", "no-patient"})

Take = Callable[..., Tally]
Made = Callable[..., Dataset]
Write = Callable[..., Path]
BytesOf = Callable[[Path], bytes]
Opened = Callable[[Path], Site]


@pytest.mark.slow
def test_monochrome1_is_white_where_values_are_small(
    made: Made,
    write: Write,
    opened: Opened,
    home: Path,
    take: Take,
    tmp_path: Path,
) -> None:
    ramp = np.tile(np.arange(12, dtype="<i2"), (16, 1))
    given = {"Modality": "DX", "RescaleIntercept": 0, "WindowCenter": 6, "WindowWidth": 12}
    normal = made(0, PixelData=ramp.tobytes(), **given)
    negative = made(1, PixelData=ramp.tobytes(), PhotometricInterpretation="MONOCHROME1", **given)
    take(write(tmp_path / "a", normal, negative))
    images = opened(home).images
    one, two = images.take(np.array([0, 1]), (1, 16, 12))
    assert one[0, 0, 0] == 0
    assert np.abs(one.astype(int) + two - 255).max() <= 1
    assert images.volume(1).geometry.inverted


@pytest.mark.slow
def test_a_voi_table_and_unequal_slopes_are_kept_in_sixteen_bits(
    made: Made,
    write: Write,
    opened: Opened,
    home: Path,
    take: Take,
    tmp_path: Path,
) -> None:
    table = Dataset()
    table.LUTDescriptor, table.LUTData = (
        [4, 0, 16],
        np.array([0, 100, 1000, 60000], "<u2").tobytes(),
    )
    values = np.tile(np.arange(4, dtype="<u2"), (16, 3))
    looked = made(
        0,
        Modality="DX",
        SeriesInstanceUID="1.2.1",
        RescaleIntercept=0,
        PixelRepresentation=0,
        VOILUTSequence=[table],
        PixelData=values.tobytes(),
    )
    steep = made(2, Modality="PT", RescaleSlope=2.5, RescaleIntercept=0)
    flat = made(1, Modality="PT", RescaleSlope=0.5, RescaleIntercept=0)
    take(write(tmp_path / "a", looked, flat, steep))
    images = opened(home).images
    assert images.volume(0).slices[0, 0, :4].tolist() == [0, 100, 1000, 60000]
    spread = images.volume(1)
    shown = spread.slices[:, 0, 0] * spread.geometry.slope + spread.geometry.intercept
    assert np.allclose(shown, [1001 * 0.5, 1002 * 2.5], atol=0.05)


@pytest.mark.slow
def test_palette_colour_and_many_frames(
    made: Made,
    write: Write,
    opened: Opened,
    home: Path,
    take: Take,
    tmp_path: Path,
) -> None:
    palette = made(0, Modality="US", BurnedInAnnotation="NO", PixelRepresentation=0)
    palette.PhotometricInterpretation = "PALETTE COLOR"
    palette.BitsAllocated = palette.BitsStored = 8
    palette.HighBit, palette.NumberOfFrames = 7, 2
    palette.PixelData = bytes([1] * 192 + [2] * 192)
    for n, name in enumerate(("Red", "Green", "Blue")):
        setattr(palette, f"{name}PaletteColorLookupTableDescriptor", [4, 0, 16])
        ramp = np.array([0, 0x1000 * (n + 1), 0xFF00, 0], "<u2")
        setattr(palette, f"{name}PaletteColorLookupTableData", ramp.tobytes())
    take(write(tmp_path / "a", palette))
    volume = opened(home).images.volume(0)
    assert volume.colour
    assert volume.slices.shape == (2, 16, 12, 3)
    assert volume.slices[0, 0, 0].tolist() == [0x10, 0x20, 0x30]
    assert volume.slices[1, 0, 0].tolist() == [0xFF] * 3


@pytest.mark.slow
@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
def test_lossless_syntaxes_are_exact(
    made: Made,
    write: Write,
    opened: Opened,
    home: Path,
    take: Take,
    tmp_path: Path,
    syntax: Any,
) -> None:
    values = np.random.default_rng(3).integers(-900, 900, (16, 12)).astype("<i2")
    data = made(0, PixelData=values.tobytes())
    data.compress(syntax, generate_instance_uid=False)
    take(write(tmp_path / "a", data))
    assert (opened(home).images.volume(0).slices[0] == values).all()


@pytest.mark.slow
def test_a_decoder_that_dies_of_a_case_costs_that_case_alone(
    made: Made,
    write: Write,
    planted: str,
    home: Path,
    take: Take,
    tmp_path: Path,
) -> None:
    bomb = made(1, SeriesInstanceUID="1.2.4", Rows=65535, Columns=65535, NumberOfFrames=99)
    torn = made(2, SeriesInstanceUID="1.2.5", PixelData=encapsulate([b"\xff\xd8 no jpeg"]))
    torn.file_meta.TransferSyntaxUID = JPEGLossless
    torn["PixelData"].is_undefined_length = True
    root = write(tmp_path / "a", bomb, torn, made(0))
    (root / "notes.txt").write_text(planted)
    store = open_store(home)
    limits = Limits(memory=1 << 30, seconds=10)
    with Decoder(limits) as small:
        tally = Import(store, site_key(home), small).run(DicomFolder(root, small))
    store.close()
    assert tally.taken == {"CT": 1}
    assert tally.skipped["no DICOM file"] == 1
    assert sum(len(keys) for keys in tally.keys.values()) == 2


@pytest.mark.slow
@real
def test_real_files_of_many_makers_and_syntaxes(
    bytes_of: BytesOf,
    opened: Opened,
    home: Path,
    take: Take,
) -> None:
    tally = take(REAL, allowed=EVERYTHING)
    assert tally.taken["CT"] == 6
    assert tally.taken["MR"] == 6
    assert tally.taken["US"] == 2
    assert tally.taken.total() == 23
    reasons = " ".join(tally.skipped)
    assert "cannot be read" in reasons  # a file cut short
    site = opened(home)
    for image in ((1, 64, 64), (3, 32, 48)):
        pixels = site.images.take(np.arange(23), image)
        assert pixels.shape == (23, *image)
        assert (pixels.reshape(23, -1).std(axis=1) > 0).all()
    volumes = [site.images.volume(row) for row in range(23)]
    assert {v.slices.dtype.name for v in volumes} == {"int16", "uint8"}
    letters = {v.geometry.directions for v in volumes}
    assert {("R", "L", "A", "P"), ("R", "L", "H", "F"), ("A", "P", "H", "F")} <= letters
    take(REAL, allowed=EVERYTHING)
    everything = bytes_of(home)
    for name in (b"CompressedSamples", b"Doe^", b"pydicom_testfiles", b"GE_CT_HiSpeed"):
        assert name not in everything


SAME = ("_RLE", "_jp2klossless", "_jpeg_ls_lossless", "_bigendian", "_implicit", "_padded", "_expb")


@real
@pytest.mark.filterwarnings("ignore:The pixel data is:UserWarning")
@pytest.mark.parametrize("kind", SAME)
def test_every_syntax_gives_the_same_slice(
    kind: str,
) -> None:
    slices = []
    for name in ("MR_small.dcm", f"MR_small{kind}.dcm"):
        folder = REAL / "pydicom_testfiles"
        uid = pydicom.dcmread(folder / name, stop_before_pixels=True).SOPInstanceUID
        slices.append(frames({"root": str(folder), "files": [[name, uid, 1]]}).read(0).stored)
    assert slices[0].shape == (64, 64)
    assert (slices[0] == slices[1]).all()


@pytest.mark.slow
@real
def test_jpeg_lossless_and_baseline_in_colour(
    opened: Opened,
    home: Path,
    take: Take,
    tmp_path: Path,
) -> None:
    for name in ("SC_rgb_jpeg_gdcm.dcm", "SC_jpeg_no_color_transform.dcm"):
        (tmp_path / "a").mkdir(exist_ok=True)
        (tmp_path / "a" / name).write_bytes((REAL / "pydicom_testfiles" / name).read_bytes())
    tally = take(tmp_path / "a", allowed=EVERYTHING)
    assert tally.taken.total() == 2
    images = opened(home).images
    assert all(images.volume(row).colour for row in (0, 1))


@pytest.mark.slow
@real
@pytest.mark.parametrize("name", ["JPEG-lossy.dcm", "JPGExtended.dcm"])
def test_jpeg_extended_of_twelve_bits(name: str) -> None:
    folder = REAL / "pydicom_testfiles"
    uid = pydicom.dcmread(folder / name, stop_before_pixels=True).SOPInstanceUID
    stored = frames({"root": str(folder), "files": [[name, uid, 1]]}).read(0).stored
    assert (stored.shape, stored.dtype.name) == ((1024, 256), "uint16")
    # what pydicom's tests hold against another decoder
    assert (int(stored[420, 140]), int(stored[230, 120])) == (244, 95)


@pytest.mark.slow
def test_a_decoder_that_does_not_end_costs_that_case_alone(
    made: Made, write: Write, home: Path, tmp_path: Path
) -> None:
    @dataclass
    class Listed:
        found: list[Any]

        def finds(self) -> Any:
            return iter(self.found)

    endless = made(1, SeriesInstanceUID="1.2.4", PatientID="other")
    root = write(tmp_path / "a", endless, made(0))
    with Decoder() as patient:
        source = Listed(list(DicomFolder(root, patient).finds()))
    name = next(f.locator["files"][0][0] for f in source.found if f.patient == "other")
    (root / name).unlink()
    os.mkfifo(root / name)  # whoever opens it waits for ever
    store = open_store(home)
    began = time.monotonic()
    with Decoder(Limits(seconds=4, per_file=0)) as short:
        tally = Import(store, site_key(home), short).run(source)
    store.close()
    assert time.monotonic() - began < 30
    assert tally.taken == {"CT": 1}
    key = site_key(home).case("1.2|1.2.4")
    assert tally.keys == {"not decoded within the time allowed": [key]}
