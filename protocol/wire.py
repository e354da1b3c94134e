"""Records to Flower's RecordDict and strictly back.

A record travels as one ConfigRecord ("record": its kind and its JSON document) and one ArrayRecord
("arrays"), nothing else; Flower's own checks of types and sizes apply on top.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TypeVar

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict
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
            "arrays": ArrayRecord({name: Array(array) for name, array in arrays.items()}),
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


def _arrays(body: ArrayRecord) -> dict[str, NDArray[np.generic]]:
    try:
        return {name: array.numpy() for name, array in body.items()}
    except Exception:  # whatever numpy says of bytes that are no array, pickles among them
        raise CodecError("arrays: accepted are numpy arrays without objects") from None
