"""JPEG Extended with 12 bits, lossy, as a plug-in of pydicom. Runs in the decoding child.

GDCM decodes it; pydicom 3.0's own way to GDCM refuses it for all versions, because old ones did
not. A test holds what comes out against a file whose values another decoder gave.
"""

from __future__ import annotations

from typing import Any

import gdcm
from pydicom.pixels.decoders.base import DecodeRunner, JPEGExtended12BitDecoder
from pydicom.uid import JPEGExtended12Bit

DECODER_DEPENDENCIES = {JPEGExtended12Bit: ("python-gdcm>=3.0.24",)}
"""pydicom asks for it by this name."""

_LABEL = "wardround-gdcm"


def is_available(uid: str) -> bool:
    """Whether frames of that transfer syntax are decoded here."""
    return uid in DECODER_DEPENDENCIES


def decode_frame(source: bytes, runner: DecodeRunner) -> bytes:
    """One frame of gray values, 16 bits each, little-endian.

    Raises:
        ValueError: it is of another kind, or does not decode.
    """
    if runner.samples_per_pixel != 1 or runner.bits_allocated != 16:
        raise ValueError("JPEG Extended of another kind than 12 bits of gray")
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(source)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image: Any = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((runner.columns, runner.rows, 1))
    image.SetDataElement(element)
    kind = gdcm.PhotometricInterpretation.GetPIType(str(runner.photometric_interpretation))
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    syntax = gdcm.TransferSyntax.GetTSType(str.__str__(JPEGExtended12Bit))
    image.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    bits = runner.bits_stored
    image.SetPixelFormat(gdcm.PixelFormat(1, 16, bits, bits - 1, runner.pixel_representation))
    frame: bytes = image.GetBuffer().encode("utf-8", "surrogateescape")
    if len(frame) != runner.rows * runner.columns * 2:
        raise ValueError("the frame does not decode")
    return frame


def enable() -> None:
    """Let pydicom decode such files, once in a process."""
    if _LABEL not in JPEGExtended12BitDecoder.available_plugins:
        JPEGExtended12BitDecoder.add_plugin(_LABEL, (__name__, "decode_frame"))
