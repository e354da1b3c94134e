"""Records to Flower's RecordDict and strictly back.

A record travels as one ConfigRecord ("record": its kind and its JSON document) and one ArrayRecord
("arrays"), nothing else; Flower's own checks of types and sizes apply on top.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import lru_cache
from io import BytesIO
from typing import Any, TypeVar

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict
from flwr.common.constant import SType
from numpy.lib import format as npy
from numpy.typing import NDArray

from protocol.codec import CodecError, decode, encode

R = TypeVar("R")


def to_wire(record: object) -> RecordDict:
    """The record as Flower carries it."""
    document, arrays = encode(record)
    return RecordDict(
        {
            "record": ConfigRecord(
                {"kind": type(record).__name__, "document": json.dumps(document)}
            ),
            "arrays": _packed(arrays),
        }
    )


def from_wire(content: RecordDict, *kinds: type[R]) -> R:
    """The record in a message's content, which must be of one of these kinds.

    Raises:
        CodecError: another kind, an extra part, or a field that does not fit.
    """
    if set(content) != {"record", "arrays"}:
        raise CodecError(f"message parts {sorted(content)}: accepted are record and arrays")
    head, body = content["record"], content["arrays"]
    if not isinstance(head, ConfigRecord) or not isinstance(body, ArrayRecord):
        raise CodecError("message parts: accepted are a ConfigRecord and an ArrayRecord")
    if set(head) != {"kind", "document"}:
        raise CodecError(f"record {sorted(head)}: accepted are kind and document")
    by_name: Mapping[str, type[R]] = {k.__name__: k for k in kinds}
    kind = by_name.get(str(head["kind"]))
    if kind is None:
        raise CodecError(f"record kind: accepted is {' or '.join(by_name)}")
    try:
        document = json.loads(str(head["document"]))
    except (ValueError, RecursionError):  # no JSON, numbers of thousands of digits, a bomb of lists
        raise CodecError("record document: accepted is JSON") from None
    return decode(kind, document, _arrays(body))


def _arrays(body: ArrayRecord) -> dict[str, NDArray[Any]]:
    try:
        return {name: _unpacked(array) for name, array in body.items()}
    except Exception:  # whatever numpy says of bytes that are no array, pickles among them
        raise CodecError("arrays: accepted are numpy arrays without objects") from None


def _packed(arrays: Mapping[str, NDArray[Any]]) -> ArrayRecord:
    """The bytes that Flower's own conversion makes, copied once instead of four times."""
    record = ArrayRecord()
    for name, array in arrays.items():
        data = b"".join(
            (_header(array.dtype.str, array.shape), array.reshape(-1).view(np.uint8).data)
        )
        record[name] = Array(str(array.dtype), array.shape, SType.NUMPY, data)
    return record


def _unpacked(array: Array) -> NDArray[Any]:
    """The array, read-only and not copied: it lies in the message's own bytes.

    Raises:
        ValueError: the bytes are no .npy block of plain numbers, or not exactly one.
    """
    if array.stype != SType.NUMPY:
        raise ValueError(f"stype {array.stype}")
    start = 10 + int.from_bytes(array.data[8:10], "little")
    dtype, shape = _read_header(array.data[:start])
    if len(array.data) - start != dtype.itemsize * math.prod(shape):
        raise ValueError(f"{len(array.data) - start} bytes for {dtype} of shape {shape}")
    return np.frombuffer(array.data, dtype, offset=start).reshape(shape)


@lru_cache(maxsize=1024)
def _header(dtype: str, shape: tuple[int, ...]) -> bytes:
    """What stands before the numbers in a .npy block."""
    block = BytesIO()
    npy.write_array_header_1_0(block, {"descr": dtype, "fortran_order": False, "shape": shape})
    return block.getvalue()


@lru_cache(maxsize=1024)
def _read_header(header: bytes) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Type and shape of a .npy block.

    Raises:
        ValueError: another version, an order of Fortran's, or objects, which would need pickle.
    """
    block = BytesIO(header)
    if npy.read_magic(block) != (1, 0):
        raise ValueError("version")
    shape, fortran, dtype = npy.read_array_header_1_0(block)
    if fortran or dtype.hasobject or min(shape, default=0) < 0:
        raise ValueError("layout")
    return dtype, shape
