"""Records in Flower's RecordDict, outside any Flower run, and strictly back."""

from __future__ import annotations

import io
import json
import pickle
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from protocol.codec import CodecError
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
from protocol.steps import Code, Hello, Refusal, Selected, StepKey, StepRequest
from protocol.wire import from_wire, to_wire

REPORT = SiteReport("north", 5, 1, 2, 9, 20.0, (1, 2), (3, 2), (1, 0), ((1, 0), (0, 4)))
PROGRESS = SiteProgress("north", 5, -1, 4, 1.5)
W = {"conv/weight": np.arange(6, dtype=np.float32).reshape(2, 3), "steps": np.array(7)}
UPDATE = SiteUpdate("north", W, 4.0, 0.7, 10)
MEASURED = Evaluation(
    9,
    8,
    True,
    1,
    np.ones(2),
    np.ones(3, np.float32),
    np.ones((1, 2, 3)),
    {"auroc": 0.5},
    {"auroc": 0.01},
)
RECORDS = [
    Reading("c1", "ann", "2026-01-31T10:00:00Z", 12.5, "answered", (0, 1)),
    Label("c1", (0.25, 0.75), 2),
    StepKey("s", 1, "train", 2, 3),
    REPORT,
    Grant(3, "because", 0.5),
    PROGRESS,
    UPDATE,
    GlobalState(W, {"momentum": W["conv/weight"]}, 4),
    MEASURED,
    SiteEvaluation("north", MEASURED, None),
    CycleRecord(2, {"north": REPORT}, {"north": Grant(6, "fair")}, {"north": PROGRESS}, "stop"),
    StepRequest(StepKey("s", 0, "select"), 1, {}, Grant(3, "because")),
    Hello("north", 0, 1, {"wardround": "0.1.0"}),
    Selected("north", 4),
    Refusal(Code.CONFLICT),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: type(r).__name__)
def test_every_record_comes_back(record: Any) -> None:
    got = from_wire(to_wire(record), Refusal, type(record))
    assert type(got) is type(record)
    # texts of numpy show every value, and equal texts of equal types are equal records here
    assert repr(got) == repr(record)


def test_arrays_keep_type_shape_and_bits() -> None:
    got = from_wire(to_wire(UPDATE), SiteUpdate).arrays
    for name, array in W.items():
        assert (got[name].dtype, got[name].shape) == (array.dtype, array.shape)
        assert got[name].tobytes() == array.tobytes()


def changed(**parts: Any) -> RecordDict:
    """A SiteUpdate's content with other parts; None leaves one out."""
    content = dict(to_wire(UPDATE)) | parts
    return RecordDict({k: v for k, v in content.items() if v is not None})


def head(**entries: Any) -> ConfigRecord:
    known = to_wire(UPDATE)["record"]
    assert isinstance(known, ConfigRecord)
    return ConfigRecord({k: v for k, v in (dict(known) | entries).items() if v is not None})


def text(**entries: Any) -> str:
    document = json.loads(str(head()["document"])) | entries
    return json.dumps({k: v for k, v in document.items() if v != "out"})


def raw(data: bytes, stype: str = "numpy.ndarray") -> ArrayRecord:
    names = ("arrays/conv/weight", "arrays/steps")
    return ArrayRecord({n: Array("float32", (2, 3), stype, data) for n in names})


def pickled() -> bytes:
    block = io.BytesIO()
    np.save(block, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return block.getvalue()


REFUSED = {
    "an extra part": (changed(more=ConfigRecord({"a": 1})), "accepted are record and arrays"),
    "a missing part": (changed(arrays=None), "accepted are record and arrays"),
    "nothing": (RecordDict(), "accepted are record and arrays"),
    "metrics": (changed(record=MetricRecord({"kind": 1})), "a ConfigRecord and an ArrayRecord"),
    "swapped": (changed(arrays=head()), "a ConfigRecord and an ArrayRecord"),
    "an extra entry": (changed(record=head(more=1)), "accepted are kind and document"),
    "a missing entry": (changed(record=head(kind=None)), "accepted are kind and document"),
    "another kind": (changed(record=head(kind="GlobalState")), "accepted is SiteUpdate or Refusal"),
    "a kind of number": (changed(record=head(kind=3)), "accepted is SiteUpdate or Refusal"),
    "no JSON": (changed(record=head(document="{")), "record document: accepted is JSON"),
    "deep JSON": (changed(record=head(document="[" * 100_000)), "accepted is JSON"),
    "long number": (changed(record=head(document="9" * 5000)), "accepted is JSON"),
    "bytes": (changed(record=head(document=b"{}")), "record document: accepted is JSON"),
    "a list": (changed(record=head(document="[]")), "SiteUpdate: "),
    "a number": (changed(record=head(document=1.5)), "SiteUpdate: "),
    "a misspelt field": (
        changed(record=head(document=text(wieght=4.0, weight="out"))),
        "SiteUpdate: wieght is not a field",
    ),
    "a missing field": (
        changed(record=head(document=text(weight="out"))),
        "SiteUpdate: weight is missing",
    ),
    "a wrong type": (changed(record=head(document=text(steps="10"))), "steps: accepted is int"),
    "fewer arrays": (changed(arrays=ArrayRecord()), "arrays/conv/weight: accepted is an array"),
    "a pickle": (changed(arrays=raw(pickle.dumps(1))), "accepted are numpy arrays without objects"),
    "objects": (changed(arrays=raw(pickled())), "accepted are numpy arrays without objects"),
    "noise": (changed(arrays=raw(b"noise")), "accepted are numpy arrays without objects"),
    "another library's": (changed(arrays=raw(b"", "torch")), "numpy arrays without objects"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused(name: str) -> None:
    content, words = REFUSED[name]
    with pytest.raises(CodecError) as refused:
        from_wire(content, SiteUpdate, Refusal)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_left_over_arrays_are_refused() -> None:
    extra = {"w": Array(np.ones(2)), "arrays/late": Array(np.ones(2))}
    content = to_wire(PROGRESS)
    content["arrays"] = ArrayRecord(extra)
    with pytest.raises(CodecError, match="SiteProgress: array 'arrays/late' belongs to no field"):
        from_wire(content, SiteProgress)
