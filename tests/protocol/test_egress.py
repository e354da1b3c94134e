"""The gate, record by record: what the table names leaves, and a planted canary never does."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.clusters import SiteClusters
from protocol.codec import encode
from protocol.egress import (
    Asking,
    KeptBack,
    cycle_cap,
    described,
    release,
    release_document,
    release_refusal,
)
from protocol.egress_table import COORDINATION, TITLES, model_plane
from protocol.gain import Pair, SiteGain
from protocol.measures import METRIC_NAMES, scored_classes, sums_length
from protocol.records import (
    UNCERTAINTY_BINS,
    Evaluation,
    SiteEvaluation,
    SiteProgress,
    SiteReport,
    SiteUpdate,
)
from protocol.steps import REPLIES, Code, Hello, Refusal, Selected
from protocol.study import Study, parse
from protocol.wire import to_wire

CANARY = "Jane Doe 1961-04-05"
HASH = "ab" * 32
STUDY = parse(
    {
        "schema": 1,
        "name": "three",
        "task": {"image": [1, 8, 8], "classes": [{"name": n, "definition": n} for n in "abc"]},
        "budget": {"total": 24, "per_cycle": 12},
        "query": {"strategy": "federated-typiclust"},
        "stopping": {"gain": "end"},
    }
)
ASKED = {"conv.weight": np.ones((4, 1, 3, 3), np.float32), "steps": np.array(3)}
ASKING = Asking("north", STUDY, ASKED)


def evaluation(study: Study = STUDY) -> Evaluation:
    m, k = sums_length(study.task), scored_classes(study.task)
    return Evaluation(
        cases=128,
        patients=2,
        clustered=True,
        unsettled=0,
        sums=np.ones(m),
        covariance=np.zeros(m * (m + 1) // 2, np.float32),
        fine=np.tile(np.arange(512) < 64, (k, 2, 1)).astype(np.float64),
        estimates=dict.fromkeys(METRIC_NAMES, 0.5),
        variances=dict.fromkeys(METRIC_NAMES, math.nan),
    )


def report(**changes: Any) -> SiteReport:
    given: dict[str, Any] = {
        "site": "north",
        "pool": 9,
        "labeled": 3,
        "audit_left": 2,
        "capacity": 11,
        "seconds_per_reading": 12.5,
        "uncertainty": (0,) * UNCERTAINTY_BINS,
        "predicted": (3, 3, 3),
        "labels": (1, 1, 1),
        "kept": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    }
    return SiteReport(**given | changes)


GOOD: Mapping[str, Any] = {
    "Hello": Hello("north", 0, 1, {"wardround": "0.1.0", "torch": "2.13.0+cpu"}),
    "SiteReport": report(),
    "Selected": Selected("north", 7),
    "SiteProgress": SiteProgress("north", 4, -1, 4, 1.5),
    "SiteUpdate": SiteUpdate("north", ASKED, 3.0, 0.7, 10),
    "SiteEvaluation": SiteEvaluation("north", evaluation(), None),
    "SiteClusters": SiteClusters("north", np.full((2, 7), 0.5, np.float32), (5, 9), (0, 2)),
    "SiteGain": SiteGain(
        "north",
        9,
        2,
        Pair(evaluation(), evaluation(), np.zeros(sums_length(STUDY.task) ** 2, np.float32)),
    ),
    "Refusal": Refusal(Code.PAUSED),
}
KINDS = sorted(GOOD)


def leaves(kind: str, document: Any, arrays: Any) -> bool:
    said = ""
    try:
        release_document(kind, document, arrays, ASKING)
    except KeptBack as kept:
        said = str(kept)
    assert CANARY not in said
    return not said


def spots(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where anything stands in a document."""
    inner: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [path, *(spot for key, item in inner for spot in spots(item, (*path, key)))]


def at(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        document = document[key]
    return document


def put(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(document)
    if not path:
        return value
    at(changed, path[:-1])[path[-1]] = value
    return changed


def test_the_table_names_every_answer_and_every_answer_passes() -> None:
    kinds = {k.__name__ for k in REPLIES.values()} | {"Refusal"}
    assert set(GOOD) == set(model_plane(ASKING)) == kinds
    assert {*model_plane(ASKING), *COORDINATION, "SecAgg"} == set(TITLES)
    for kind, record in GOOD.items():
        released = release(record, ASKING)
        assert released.kind == kind
        assert len(released.digest) == 64
    assert release_refusal(GOOD["Refusal"]) == release(GOOD["Refusal"], ASKING)


@pytest.mark.parametrize("kind", KINDS)
def test_a_size_is_that_of_what_travels(kind: str) -> None:
    content = to_wire(GOOD[kind])
    travels = len(str(content["record"]["document"])) + sum(
        len(name) + len(array.data) for name, array in content["arrays"].items()
    )
    assert release(GOOD[kind], ASKING).size == travels


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None)
@given(data=st.data())
def test_a_canary_does_not_leave_in_the_place_of_any_value(kind: str, data: st.DataObject) -> None:
    document, arrays = encode(GOOD[kind])
    spot = data.draw(st.sampled_from(spots(document)))
    canary: Any = data.draw(
        st.sampled_from([CANARY, [CANARY], {CANARY: 1}, [list(range(64))] * 64, 10**40, 1e300])
    )
    assert not leaves(kind, put(document, spot, canary), arrays)


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None)
@given(data=st.data())
def test_a_canary_does_not_leave_in_a_field_too_many(kind: str, data: st.DataObject) -> None:
    document, arrays = encode(GOOD[kind])
    tables = [s for s in spots(document) if isinstance(at(document, s), dict)]
    lists = [s for s in spots(document) if isinstance(at(document, s), list)]
    spot = data.draw(st.sampled_from(tables + lists))
    inner = at(document, spot)
    more = {**inner, CANARY: 1} if isinstance(inner, dict) else [*inner, 1]
    assert not leaves(kind, put(document, spot, more), arrays)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_nothing_that_a_text_could_hold_leaves_in_its_place(kind: str, data: st.DataObject) -> None:
    document, arrays = encode(GOOD[kind])
    texts = [s for s in spots(document) if isinstance(at(document, s), str)]
    if not texts:
        return
    spot = data.draw(st.sampled_from(texts))
    text = data.draw(st.text(max_size=40))
    if text == at(document, spot) or text in set(Code):
        return
    if leaves(kind, put(document, spot, text), arrays):
        assert spot[0] == "versions"
        assert len(text) <= 32
        assert text[0] in "0123456789"
        assert not set(text) - set("0123456789.+-") - set(map(chr, range(65, 123)))


@pytest.mark.parametrize("kind", KINDS)
@given(
    shape=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    dtype=st.sampled_from(["uint8", "int16", "float32", "float64"]),
    name=st.sampled_from(["arrays/image", "image", "audit/sums", "locked/sums", "arrays/steps"]),
)
def test_pixels_do_not_leave_as_an_array(
    kind: str, shape: list[int], dtype: str, name: str
) -> None:
    document, arrays = encode(GOOD[kind])
    image = np.full(shape, 250).astype(dtype)
    assert not leaves(kind, document, {**arrays, name: image})
    if kind == "SiteUpdate":
        document["arrays"]["image"] = None
        assert not leaves(kind, document, {**arrays, "arrays/image": image})


@pytest.mark.parametrize("kind", ["SiteUpdate", "SiteEvaluation", "SiteGain"])
@given(data=st.data())
def test_an_array_of_another_shape_type_or_with_odd_numbers_stays(
    kind: str, data: st.DataObject
) -> None:
    document, arrays = encode(GOOD[kind])
    name = data.draw(st.sampled_from(sorted(arrays)))
    array = arrays[name]
    wrong: Callable[[], Any] = data.draw(
        st.sampled_from(
            [
                lambda: array[None],
                lambda: array.reshape(-1)[:-1],
                lambda: array.astype(np.float16),
                lambda: array.astype("complex64"),
                lambda: np.where(np.arange(array.size).reshape(array.shape), array, np.nan),
                lambda: None,
            ]
        )
    )
    changed = wrong()
    rest = {k: v for k, v in arrays.items() if k != name}
    assert not leaves(kind, document, rest if changed is None else {**rest, name: changed})


def test_an_update_has_exactly_what_was_asked_for() -> None:
    for asked in ({}, {"conv.weight": ASKED["conv.weight"]}, ASKED | {"more": np.ones(1)}):
        with pytest.raises(KeptBack, match=r"SiteUpdate\.arrays: accepted is the arrays that"):
            release(GOOD["SiteUpdate"], Asking("north", STUDY, asked))
    huge = np.broadcast_to(np.float32(1), (2**14, 2**15))  # 2 GiB that take no room
    with pytest.raises(KeptBack, match="more than"):
        release_document(
            "SiteUpdate",
            {"site": "north", "arrays": {"a": None}, "weight": 1.0, "loss": 0.0, "steps": 1},
            {"arrays/a": huge},
            Asking("north", STUDY, {"a": huge}),
        )


def test_counts_are_whole_and_a_site_speaks_for_itself() -> None:
    half = evaluation()
    half.fine[0, 0, 0] = 0.5
    for record in (
        SiteEvaluation("north", half, None),
        report(site="south"),
        report(pool=-1),
        report(pool=True),
        report(prequential_loss=math.nan),
        {"site": "north"},
        STUDY,
    ):
        with pytest.raises(KeptBack):
            release(record, ASKING)


def test_words_for_people_hold_every_record_and_a_true_largest_size() -> None:
    rows = described(STUDY, parameters=300)
    assert [r.record for r in rows] == [*model_plane(ASKING), *COORDINATION]
    for row in rows:
        assert row.title
        assert row.often
        assert row.largest > 0 or row.record == "NewestHeadRequest"
        if row.record in GOOD:
            assert len(json.dumps(encode(GOOD[row.record])[0])) < row.largest
    largest = {r.record: r.largest for r in rows}
    assert release(GOOD["SiteEvaluation"], ASKING).size < largest["SiteEvaluation"]
    asked = {f"layer{i}.weight": np.ones(100, np.float32) for i in range(10)}
    told = {r.record: r.largest for r in described(STUDY, parameters=1000)}
    update = release(SiteUpdate("n", asked, 1.0, 1.0, 1), Asking("n", STUDY, asked))
    assert update.size < told["SiteUpdate"]


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"Refusal"}))
def test_a_cycle_s_cap_holds_what_a_cycle_sends_several_times(kind: str) -> None:
    line = model_plane(ASKING)[kind]
    size = release(GOOD[kind], ASKING).size
    assert 10 * line.times * size <= cycle_cap(ASKING, kind) < 10**8
    assert line.times >= (STUDY.training.rounds_per_cycle if kind == "SiteUpdate" else 1)
