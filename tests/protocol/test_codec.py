"""Every record travels and comes back equal; whatever does not fit is refused, in one sentence."""

from __future__ import annotations

import collections.abc
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from numpy.typing import NDArray
from safetensors.numpy import save

from protocol import records, steps
from protocol.codec import CodecError, decode, encode, pack, unpack
from protocol.records import (
    CycleRecord,
    Evaluation,
    GlobalState,
    Grant,
    Label,
    Reading,
    SiteEvaluation,
    SiteProgress,
    SiteReport,
    SiteUpdate,
)
from protocol.steps import Code, Refusal, StepKey, StepRequest

KINDS = sorted(
    {
        kind
        for module in (records, steps)
        for kind in vars(module).values()
        if isinstance(kind, type) and is_dataclass(kind)
    },
    key=lambda kind: kind.__name__,
)
NUMBERS = ("bool", "int8", "uint8", "int64", "float16", "float32", "float64")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SHAPES = arrays_of.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
ANY_ARRAY = st.sampled_from(NUMBERS).flatmap(lambda d: arrays_of.arrays(d, SHAPES))
st.register_type_strategy(float, st.floats())
st.register_type_strategy(str, TEXTS)


def field_values(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a record's field, as its annotation says."""
    if kind == NDArray[np.float64]:
        return arrays_of.arrays(np.float64, SHAPES)
    if kind == NDArray[np.float32]:
        return arrays_of.arrays(np.float32, SHAPES)
    if kind == records.Arrays:
        return st.dictionaries(TEXTS, ANY_ARRAY, max_size=3)
    if get_origin(kind) is collections.abc.Mapping:
        return st.dictionaries(TEXTS, field_values(get_args(kind)[1]), max_size=2)
    if type(None) in get_args(kind):
        return st.none() | field_values(get_args(kind)[0])
    return built(kind) if is_dataclass(kind) else st.from_type(kind)


def built(kind: Any) -> st.SearchStrategy[Any]:
    hints = get_type_hints(kind)
    return st.builds(kind, **{name: field_values(hint) for name, hint in hints.items()})


def same(a: Any, b: Any) -> bool:
    """Equal in type and value, where NaN equals NaN."""
    if is_dataclass(a):
        return type(a) is type(b) and all(
            same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a)
        )
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, Mapping):
        return set(a) == set(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and (a == b or (a != a and b != b))


def test_the_kinds_are_all_there() -> None:
    assert {"CycleRecord", "Evaluation", "GlobalState", "Hello", "Selected", "StepRequest"} <= {
        kind.__name__ for kind in KINDS
    }
    assert set(steps.REPLIES.values()) | {Refusal} <= set(KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_every_record_comes_back(kind: type, data: st.DataObject) -> None:
    record = data.draw(built(kind))
    document, arrays = encode(record)
    assert same(decode(kind, json.loads(json.dumps(document)), arrays), record)
    block = pack(record)
    assert same(unpack(kind, block), record)
    assert pack(unpack(kind, block)) == block


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_every_field_is_wanted_and_no_other(kind: type, data: st.DataObject) -> None:
    document, arrays = encode(data.draw(built(kind)))
    with pytest.raises(CodecError, match=f"{kind.__name__}: extra is not a field"):
        decode(kind, document | {"extra": 1}, arrays)
    for name in document:
        less = {k: v for k, v in document.items() if k != name}
        with pytest.raises(CodecError, match=f"{kind.__name__}: {name} is missing"):
            decode(kind, less, arrays)
        with pytest.raises(CodecError, match=f"{kind.__name__}: {name}s is not a field"):
            decode(kind, less | {f"{name}s": document[name]}, arrays)
    with pytest.raises(CodecError, match="array 'odd' belongs to no field"):
        decode(kind, document, dict(arrays) | {"odd": np.zeros(2)})


REPORT = SiteReport("north", 5, 1, 2, 9, 20.0, (1, 2), (3, 2), (1, 0), ((1, 0), (0, 4)))
READING = Reading("c1", "ann", "2026-01-31T10:00:00Z", 12.5, "answered", (0, 1))
UPDATE = SiteUpdate("north", {"conv/weight": np.ones((2, 3), np.float32)}, 4.0, 0.7, 10)
PROGRESS = SiteProgress("north", 5, -1, 4, 1.5)
MEASURED = Evaluation(
    9,
    8,
    True,
    1,
    np.ones(2),
    np.ones(3, np.float32),
    np.ones((1, 2, 3)),
    {"auroc": np.nan},
    {"auroc": np.nan},
)
STEP = StepRequest(StepKey("s", 0, "train"), 1, UPDATE.arrays, Grant(3, "because"))


def at(document: Any, path: list[str], value: Any) -> Any:
    """The document with another value at a path."""
    changed = dict(document) if isinstance(document, dict) else list(document)
    key: Any = path[0] if isinstance(document, dict) else int(path[0])
    changed[key] = at(document[key], path[1:], value) if path[1:] else value
    return changed


@pytest.mark.parametrize(
    ("record", "path", "value", "words"),
    [
        (REPORT, "pool", "5", "pool: accepted is int"),
        (REPORT, "pool", True, "pool: accepted is int"),
        (REPORT, "pool", 5.0, "pool: accepted is int"),
        (REPORT, "pool", None, "pool: accepted is int"),
        (REPORT, "site", 5, "site: accepted is str"),
        (REPORT, "seconds_per_reading", True, "seconds_per_reading: accepted is float"),
        (REPORT, "seconds_per_reading", "1", "seconds_per_reading: accepted is float"),
        (REPORT, "seconds_per_reading", 10**400, "seconds_per_reading: accepted is float"),
        (REPORT, "seconds_per_reading", [1.0], "seconds_per_reading: accepted is float"),
        (REPORT, "uncertainty", 3, "uncertainty: accepted is a list"),
        (REPORT, "uncertainty", {"0": 1}, "uncertainty: accepted is a list"),
        (REPORT, "kept/1", 4, "kept/1: accepted is a list"),
        (REPORT, "kept/1/0", 0.5, "kept/1/0: accepted is int"),
        (READING, "answer", "perhaps", "answer: accepted is one of answered, unsure, unreadable"),
        (READING, "answer", ["answered"], "answer: accepted is one of answered"),
        (UPDATE, "arrays", None, "arrays: accepted is a table"),
        (UPDATE, "arrays", [], "arrays: accepted is a table"),
        (UPDATE, "arrays/conv~weight", 1.0, "arrays/conv/weight: accepted is an array"),
        (MEASURED, "sums", [1.0, 1.0], "sums: accepted is an array"),
        (MEASURED, "clustered", 1, "clustered: accepted is bool"),
        (MEASURED, "estimates/auroc", None, "estimates/auroc: accepted is float"),
        (STEP, "grant/count", "3", "grant/count: accepted is int"),
        (STEP, "grant/threshold", "high", "grant/threshold: accepted is float"),
        (STEP, "grant", 3, "Grant: grant/count is missing|Grant: grant/record is missing"),
        (STEP, "key", None, "StepKey: key/"),
        (Refusal(Code.FAILED), "code", "gone", "code: accepted is one of not-approved, lower-ep"),
        (Refusal(Code.FAILED), "code", ["failed"], "code: accepted is one of not-approved"),
        (Refusal(Code.FAILED), "code", {}, "code: accepted is one of not-approved"),
    ],
)
def test_other_types_are_refused(record: Any, path: str, value: Any, words: str) -> None:
    document, arrays = encode(record)
    changed = at(document, [part.replace("~", "/") for part in path.split("/")], value)
    with pytest.raises(CodecError, match=words) as refused:
        decode(type(record), changed, arrays)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("odd", [None, 3, "record", [], [1], True])
def test_a_document_is_a_table(odd: Any) -> None:
    with pytest.raises(CodecError, match="SiteReport: "):
        decode(SiteReport, odd, {})


def test_an_array_is_of_the_type_that_the_record_says() -> None:
    document, arrays = encode(MEASURED)
    for other in (np.ones(2, np.float32), np.ones(2, np.int64)):
        with pytest.raises(CodecError, match="sums: accepted is an array of float64"):
            decode(Evaluation, document, dict(arrays) | {"sums": other})
    with pytest.raises(CodecError, match="sums: accepted is an array"):
        decode(Evaluation, document, {"covariance": arrays["covariance"]})


def test_numpy_scalars_travel_as_numbers() -> None:
    record = replace(PROGRESS, spent=np.int64(3), minutes=np.float32(0.5))
    got = unpack(SiteProgress, pack(record))
    assert got == replace(PROGRESS, spent=3, minutes=0.5)
    assert type(got.minutes) is float
    assert encode(replace(MEASURED, clustered=np.bool_(True)))[0]["clustered"] is True


@pytest.mark.parametrize("odd", [b"x", {1}, 1j, object(), [1, 2]], ids=lambda v: type(v).__name__)
def test_other_values_cannot_travel(odd: Any) -> None:
    with pytest.raises(CodecError, match=f"^reason: a {type(odd).__name__} cannot travel$"):
        encode(Grant(1, odd))


def test_a_finished_cycle_comes_back() -> None:
    grants = {"north": Grant(6, "fair"), "south/east": Grant(0, "", 0.5)}
    record = CycleRecord(2, {"north": REPORT}, grants, {"north": PROGRESS}, "stop")
    assert unpack(CycleRecord, pack(record)) == record
    nested = SiteEvaluation("north", MEASURED, None)
    assert same(unpack(SiteEvaluation, pack(nested)), nested)
    assert unpack(Label, pack(Label("c", (0.5, 0.5), 2))) == Label("c", (0.5, 0.5), 2)


BLOCK = pack(UPDATE)
BLOCKS = {
    "nothing": b"",
    "cut": BLOCK[:-1],
    "cut header": BLOCK[:20],
    "longer": BLOCK + b"\0",
    "noise": bytes(range(64)),
    "huge header": b"\xff" * 8 + BLOCK[8:],
    "a pickle": b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00K\x01.",
    "no record": save({"arrays/w": np.ones(2)}, {"other": "{}"}),
    "no metadata": save({"arrays/w": np.ones(2)}),
    "no JSON": save({"arrays/w": np.ones(2)}, {"record": "{"}),
    "deep JSON": save({"arrays/w": np.ones(2)}, {"record": "[" * 100_000}),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_malformed_blocks_are_refused_alike(name: str) -> None:
    with pytest.raises(CodecError, match=r"^SiteUpdate: these bytes are not a packed record$"):
        unpack(SiteUpdate, BLOCKS[name])


def test_a_block_of_another_record_or_with_more_arrays() -> None:
    with pytest.raises(CodecError, match="SiteReport: arrays is not a field"):
        unpack(SiteReport, BLOCK)
    text = json.dumps(encode(PROGRESS)[0])
    for extra in (
        {"w": np.ones(1)},
        {"/": np.ones(1, np.uint8)},
        {"/": np.zeros(0), "w": np.ones(1)},
    ):
        with pytest.raises(CodecError, match=r"SiteProgress: array '.' belongs to no field"):
            unpack(SiteProgress, save(extra, {"record": text}))


@pytest.mark.slow
@given(st.binary(max_size=200))
def test_noise_never_raises_anything_else(block: bytes) -> None:
    with pytest.raises(CodecError):
        unpack(GlobalState, block)
