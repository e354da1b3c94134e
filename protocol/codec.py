"""Records as one JSON document plus named arrays, and strictly back.

The document has exactly the fields of the dataclass, with exactly their types; a misspelt, missing
or extra field is refused, and so is an array that no field asked for. As bytes the two travel in
one safetensors block: no pickle anywhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from protocol import block as packed

R = TypeVar("R")
_NOTHING = "/"
_DTYPES = frozenset(
    np.dtype(name)
    for name in (
        *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("float16", "float32", "float64"),
    )
)
"""What an array that travels may hold: plain numbers, in this machine's byte order or the other."""


class CodecError(ValueError):
    """A document or array that does not fit the record, in one sentence without its content."""


def encode(record: object) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The record's document (JSON types only) and its arrays, by path ("arrays/conv.weight")."""
    arrays: dict[str, NDArray[Any]] = {}
    document = _encode(record, "", arrays)
    return document, arrays


def decode(kind: type[R], document: Any, arrays: Mapping[str, NDArray[Any]]) -> R:
    """The record of that kind.

    Raises:
        CodecError: a field is misspelt, missing, extra or of another type; an array is left over.
    """
    used: set[str] = set()
    record = _decode(kind, document, "", arrays, used)
    if left := sorted(set(arrays) - used):
        raise CodecError(f"{kind.__name__}: array {left[0]!r} belongs to no field")
    return record  # type: ignore[no-any-return]  # _decode works on run-time types


def pack(record: object) -> bytes:
    """The record as one safetensors block, the same bytes for equal records."""
    document, arrays = encode(record)
    text = json.dumps(document, sort_keys=True)
    # safetensors refuses a block without tensors in some versions; an empty one costs nothing
    return save(arrays or {_NOTHING: np.zeros(0, np.uint8)}, {packed.HEADER: text})


def unpack(kind: type[R], block: bytes) -> R:
    """The record of that kind from `pack`'s bytes.

    Raises:
        CodecError: as `decode`, or the block is not one of ours.
    """
    try:
        document = packed.document(block)
        arrays = load(block)
        if list(arrays) == [_NOTHING] and not arrays[_NOTHING].size:
            arrays = {}
    except Exception:  # any malformed block is refused alike, and its content is not repeated
        raise CodecError(f"{kind.__name__}: these bytes are not a packed record") from None
    return decode(kind, document, arrays)


def digest(arrays: Mapping[str, NDArray[Any]], *parts: str) -> str:
    """SHA-256 (hex) of named arrays, with their types and shapes, and of some strings.

    Neither byte order nor the order in memory counts, since neither survives travel.

    Raises:
        CodecError: an array holds something other than plain numbers.
    """
    h = hashlib.sha256(json.dumps(parts).encode())
    for name in sorted(arrays):
        array = _portable(arrays[name], name)
        h.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        h.update(array.data if array.size else b"")
    return h.hexdigest()


def _portable(array: NDArray[Any], name: str) -> NDArray[Any]:
    """The array in rows of native byte order, 0-d ones still 0-d."""
    native = array.dtype.newbyteorder("=")
    if native not in _DTYPES:
        raise CodecError(
            f"{name}: array of {array.dtype.name}, accepted are whole numbers, "
            "floats of at most 64 bits, and booleans"
        )
    return np.asarray(array, native, order="C")


def _encode(value: Any, path: str, arrays: dict[str, NDArray[Any]]) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {
            f.name: _encode(getattr(value, f.name), f"{path}{f.name}/", arrays)
            for f in fields(value)
        }
    if isinstance(value, np.ndarray):
        arrays[path[:-1]] = _portable(value, path[:-1])
        return None
    if isinstance(value, Mapping):
        return {str(k): _encode(v, f"{path}{k}/", arrays) for k, v in value.items()}
    if isinstance(value, tuple):
        return [_encode(v, f"{path}{i}/", arrays) for i, v in enumerate(value)]
    return _plain(value, path)


def _plain(value: Any, path: str) -> Any:
    if isinstance(value, StrEnum):
        return str(value)
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value)
    raise CodecError(f"{path[:-1]}: a {type(value).__name__} cannot travel")


@cache
def _hints(kind: type) -> Mapping[str, Any]:
    return get_type_hints(kind)


def _decode(
    kind: Any, value: Any, path: str, arrays: Mapping[str, NDArray[Any]], used: set[str]
) -> Any:
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return _optional(kind, value, path, arrays, used)
    if is_dataclass(kind):
        return _record(kind, value, path, arrays, used)  # type: ignore[arg-type]  # a class here
    if origin is np.ndarray:
        return _array(kind, value, path, arrays, used)
    if origin is tuple:
        item = get_args(kind)[0]
        if not isinstance(value, list):
            raise _wrong(path, "a list")
        return tuple(_decode(item, v, f"{path}{i}/", arrays, used) for i, v in enumerate(value))
    if origin is not None and issubclass(origin if isinstance(origin, type) else object, Mapping):
        if not isinstance(value, dict):
            raise _wrong(path, "a table")
        item = get_args(kind)[1]
        return {k: _decode(item, v, f"{path}{k}/", arrays, used) for k, v in value.items()}
    return _scalar(kind, value, path)


def _record(
    kind: type, value: Any, path: str, arrays: Mapping[str, NDArray[Any]], used: set[str]
) -> Any:
    hints = _hints(kind)
    if not isinstance(value, dict) or set(value) != set(hints):
        given = set(value) if isinstance(value, dict) else set()
        odd = sorted((given - set(hints)) or (set(hints) - given)) or ["record"]
        word = "is not a field" if given - set(hints) else "is missing"
        raise CodecError(f"{kind.__name__}: {path}{odd[0]} {word}")
    return kind(**{n: _decode(hints[n], value[n], f"{path}{n}/", arrays, used) for n in hints})


def _optional(
    kind: Any, value: Any, path: str, arrays: Mapping[str, NDArray[Any]], used: set[str]
) -> Any:
    inner = [k for k in get_args(kind) if k is not NoneType]
    if value is None and len(inner) < len(get_args(kind)):
        return None
    return _decode(inner[0], value, path, arrays, used)


def _array(
    kind: Any, value: Any, path: str, arrays: Mapping[str, NDArray[Any]], used: set[str]
) -> Any:
    name = path[:-1]
    if value is not None or name not in arrays:
        raise _wrong(path, "an array")
    used.add(name)
    (wanted,) = get_args(get_args(kind)[1])
    array = _portable(arrays[name], name)
    if wanted is not Any and array.dtype != np.dtype(wanted):
        raise _wrong(path, f"an array of {np.dtype(wanted).name}")
    return array


def _scalar(kind: Any, value: Any, path: str) -> Any:
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise _wrong(path, f"one of {', '.join(map(str, get_args(kind)))}")
        return value
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        if not isinstance(value, str) or value not in set(kind):
            raise _wrong(path, f"one of {', '.join(kind)}")
        return kind(value)
    if kind is float and type(value) is int and abs(value) <= 2**53:
        return float(value)
    if type(value) is not kind:
        raise _wrong(path, getattr(kind, "__name__", str(kind)))
    return value


def _wrong(path: str, accepted: str) -> CodecError:
    return CodecError(f"{path[:-1] or 'record'}: accepted is {accepted}")
