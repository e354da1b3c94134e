"""Arrays that travel keep their values, and digests know every difference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from numpy.typing import NDArray

from protocol.codec import CodecError, decode, digest, encode, pack, unpack
from protocol.records import GlobalState

NUMBERS = ("bool", "int8", "uint8", "int64", "float16", "float32", "float64")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SHAPES = arrays_of.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
ANY_ARRAY = st.sampled_from(NUMBERS).flatmap(lambda d: arrays_of.arrays(d, SHAPES))

ODD_ARRAYS = {
    "objects": np.array([{"a": 1}, None], dtype=object),
    "texts": np.array(["a", "b"]),
    "bytes": np.array([b"a"]),
    "complex numbers": np.ones(2, np.complex64),
    "times": np.zeros(2, "datetime64[s]"),
    "tables": np.zeros(2, [("a", "f4"), ("b", "i4")]),
    "wide floats": np.ones(2, np.longdouble),
}


@pytest.mark.parametrize("odd", ODD_ARRAYS.values(), ids=ODD_ARRAYS)
def test_arrays_hold_plain_numbers(odd: NDArray[Any]) -> None:
    record = GlobalState({"w": odd})
    for travel in (encode, pack, lambda r: digest(r.arrays)):
        with pytest.raises(CodecError, match=r"w: array of .*, accepted are whole numbers, floats"):
            travel(record)
    with pytest.raises(CodecError, match="arrays/w: array of"):
        decode(GlobalState, {"arrays": {"w": None}, "memory": {}, "round": 0}, {"arrays/w": odd})


ARRAYS = {
    "transposed": np.arange(6.0).reshape(2, 3).T,
    "strided": np.arange(10, dtype=np.int32)[::-3],
    "big-endian": np.arange(4, dtype=">f4"),
    "half": np.array([1.5, -0.0, np.inf, np.nan], np.float16),
    "0-d": np.array(3.5),
    "empty": np.zeros((0, 3), np.uint8),
    "read-only": np.broadcast_to(np.float32(2), (2, 2)),
    "not finite": np.array([np.nan, -np.inf, 5e-324]),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_of_every_make_arrive_with_their_values(name: str) -> None:
    sent = GlobalState({"w": ARRAYS[name]})
    got = unpack(GlobalState, pack(sent)).arrays["w"]
    assert got.shape == ARRAYS[name].shape
    assert got.dtype == ARRAYS[name].dtype.newbyteorder("=")
    np.testing.assert_array_equal(got, ARRAYS[name])
    assert digest({"w": got}) == digest({"w": ARRAYS[name]})  # a repeated step is known again


@pytest.mark.slow
@given(
    array=ANY_ARRAY.filter(lambda a: a.size and a.ndim),
    name=TEXTS.filter(bool),
    where=st.integers(0),
)
def test_digest_knows_name_type_shape_and_value(array: NDArray[Any], name: str, where: int) -> None:
    known = digest({name: array}, "part")
    assert known == digest({name: array.copy()}, "part")
    assert known != digest({name + "x": array}, "part")
    assert known != digest({name: array[None]}, "part")
    assert known != digest({name: array}, "part", "")
    assert known != digest({name: array}, "par", "t")
    assert known != digest({name: array, "": array[:0]}, "part")
    flipped = np.frombuffer(array.tobytes(), np.uint8).copy()
    flipped[where % flipped.size] ^= 1
    if array.dtype != bool:
        assert known != digest({name: flipped.view(array.dtype).reshape(array.shape)}, "part")
    other = np.int8 if array.dtype == np.uint8 else np.uint8
    if array.dtype.itemsize == 1 and array.dtype != other:
        assert known != digest({name: array.view(other)}, "part")


def test_digest_of_0_d_and_1_d_and_of_glued_names() -> None:
    assert digest({"w": np.array(1.0)}) != digest({"w": np.array([1.0])})
    assert digest({"w": np.float32([1, 2])}) != digest({"w": np.int32([1, 2])})
    assert digest({"a": np.ones(1), "b": np.zeros(1)}) == digest(
        {"b": np.zeros(1), "a": np.ones(1)}
    )
    assert digest({"a": np.ones(1), "b": np.zeros(1)}) != digest(
        {"a": np.zeros(1), "b": np.ones(1)}
    )
    assert digest({"a": np.ones(0), "b": np.ones(0)}) != digest({"a\0<f8\0(0,)\0b": np.ones(0)})
    assert digest({}, "a", "b") != digest({}, "a\0b")


def test_digest_is_frozen() -> None:
    """Sites remember payloads and weights by it, across versions."""
    arrays = {"b": np.arange(3, dtype=np.int64), "a": np.ones((2, 2), np.float32)}
    assert digest(arrays, "x") == "ad4832d101915ccae3eccd79229dce729ea873719abbe3baf4da74855a83658b"
