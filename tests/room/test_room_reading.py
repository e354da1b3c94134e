"""Reading over HTTP: what a reader gets, what is kept of an answer, what is taken back."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from client.images import Geometry, Volume, Window
from client.room.library import NoSlice, packed


def kept(room: Any) -> list[tuple[Any, ...]]:
    with room.store() as store:
        sql = "SELECT reader, answer, value, confidence, reason, comment FROM readings ORDER BY id"
        return list(store.connection.execute(sql))


@pytest.fixture
def room(make_room: Callable[..., Any]) -> Any:
    made = make_room()
    made.open(6, 12)
    made.let_in(ann="reader", ben="reader")
    return made


@pytest.mark.slow
def test_a_reader_works_through_the_queue(room: Any, pages: Callable[..., Any]) -> None:
    ann = pages(room, "ann")
    offer = ann.next()
    for done in range(1, 7):
        assert offer["case"]["position"] == done - 1
        offer = ann.answer(offer, done % 3).json()
        assert offer["work"]["today"]["readings"] == done
    assert offer["case"] is None
    assert offer["why"] == "Nothing to read."
    assert len(kept(room)) == 6


def test_all_that_a_reader_says_is_kept(room: Any, pages: Callable[..., Any]) -> None:
    ann = pages(room, "ann")
    offer = ann.answer(ann.next(), 1, confidence=4, comment="  left base ").json()
    offer = ann.answer(offer, None).json()
    ann.answer(offer, None, answer="unreadable", reason="quality")
    assert kept(room) == [
        ("ann", "answered", "[0, 1, 0]", 4, "", "  left base "),
        ("ann", "unsure", "[]", None, "", ""),
        ("ann", "unreadable", "[]", None, "quality", ""),
    ]


@pytest.mark.slow
def test_two_readers_get_two_cases(room: Any, pages: Callable[..., Any]) -> None:
    ann, ben = pages(room, "ann"), pages(room, "ben")
    mine, yours = ann.next(), ben.next()
    assert mine["case"]["position"] != yours["case"]["position"]
    assert ann.next()["case"] == mine["case"]  # a page that is loaded again has the same case
    stolen = ben.answer(mine)
    assert stolen.status_code == 409
    assert "colleague" in stolen.json()["error"]
    assert kept(room) == []


def test_an_answer_sent_twice_is_one(room: Any, pages: Callable[..., Any]) -> None:
    ann = pages(room, "ann")
    offer = ann.next()
    first = ann.answer(offer, 1, submission="k" * 20)
    again = ann.answer(offer, 1, submission="k" * 20)
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json()["case"] == again.json()["case"]
    assert ann.answer(offer, 2, submission="k" * 20).status_code == 409
    assert len(kept(room)) == 1


def test_undo_is_a_withdrawal_and_costs_no_second_reading(
    room: Any, pages: Callable[..., Any]
) -> None:
    ann = pages(room, "ann")
    offer = ann.next()
    second = ann.answer(offer, 1).json()
    back = ann.post("/api/undo", study=room.study.identity).json()
    assert back["case"]["position"] == back["undone"] == offer["case"]["position"]
    assert back["work"]["today"]["readings"] == 0
    again = ann.post("/api/undo", study=room.study.identity)
    assert again.status_code == 409
    third = ann.answer(back, 2).json()
    assert third["case"] == second["case"]
    with room.store() as store:
        assert store.readings.spent(room.study.identity)[0] == 1
        assert [r.value for r in store.labels.training(room.study.identity)] == [(0, 0, 1)]
        assert store.connection.execute("SELECT count(*) FROM readings").fetchone() == (2,)


def test_the_last_reading_of_a_grant_can_be_taken_back(
    make_room: Callable[..., Any], pages: Callable[..., Any]
) -> None:
    room = make_room()
    room.open(3, 1)
    room.let_in(ann="reader")
    ann = pages(room, "ann")
    assert ann.answer(ann.next(), 1).json()["case"] is None
    back = ann.post("/api/undo", study=room.study.identity).json()
    assert ann.answer(back, 0).json()["case"] is None
    assert [row[2] for row in kept(room)] == ["[0, 1, 0]", "[1, 0, 0]"]


def test_the_image_comes_as_sixteen_bits_with_its_header(
    room: Any, pages: Callable[..., Any]
) -> None:
    ann = pages(room, "ann")
    ann.next()
    body = ann.image(0).content
    (length,) = struct.unpack_from("<I", body)
    header = json.loads(body[4 : 4 + length])
    pixels = np.frombuffer(body, "<u2", offset=4 + length).reshape(header["height"], -1)
    assert np.array_equal(pixels, np.load(room.home / "i.npy")[0, 0])
    assert (header["slices"], header["channels"], header["signed"]) == (1, 1, False)
    assert ann.image(0, slice=1).status_code == 404


@pytest.mark.slow
def test_images_are_for_the_case_on_the_screen_and_three_more(
    room: Any, pages: Callable[..., Any]
) -> None:
    ann, ben = pages(room, "ann"), pages(room, "ben")
    offer = ann.next()
    assert offer["ahead"] == [1, 2, 3]
    assert [ann.image(p).status_code for p in range(6)] == [200] * 4 + [403] * 2
    ben.next()
    assert [ben.image(p).status_code for p in range(6)] == [403] + [200] * 4 + [403]
    assert ann.image(0, cycle=1).status_code == 403
    for wrong in ("x", "-1", ""):
        assert ann.image(wrong).status_code == 400


def test_seconds_are_no_more_than_went_by(room: Any, pages: Callable[..., Any]) -> None:
    ann = pages(room, "ann")
    ann.answer(ann.next(), 1, seconds=9999)
    with room.store() as store:
        assert 0 <= store.readings.spent(room.study.identity)[1] < 60


def test_the_queue_goes_on_in_the_next_cycle(room: Any, pages: Callable[..., Any]) -> None:
    ann = pages(room, "ann")
    offer = ann.next()
    with room.store() as store, store.transaction():
        store.cycles.close(room.study.identity, 0, "2026-01-05T08:00:00+00:00")
    late = ann.answer(offer)
    assert late.status_code == 409
    assert ann.next()["why"].startswith("No cycle is open")
    room.open(2, 2, cycle=1)
    assert ann.next()["cycle"] == 1


def test_a_stack_of_signed_values_is_packed_slice_by_slice() -> None:
    slices = np.arange(-30, 30, dtype=np.int16).reshape(5, 3, 4)
    windows = (Window(40.0, 400.0, "soft"),)
    volume = Volume(slices, Geometry(intercept=-1024.0, windows=windows, unit="HU"))
    for wanted, number in ((None, 2), (4, 4)):
        body = packed(volume, wanted)
        (length,) = struct.unpack_from("<I", body)
        header = json.loads(body[4 : 4 + length])
        assert (length % 2, header["slice"], header["signed"], header["unit"]) == (
            0,
            number,
            True,
            "HU",
        )
        assert header["windows"] == [{"name": "soft", "centre": 40.0, "width": 400.0}]
        pixels = np.frombuffer(body, "<i2", offset=4 + length).reshape(3, 4)
        assert np.array_equal(pixels, slices[number])
    with pytest.raises(NoSlice):
        packed(volume, 5)


def test_colour_travels_as_three_values_a_pixel() -> None:
    slices = np.arange(24, dtype=np.uint8).reshape(1, 2, 4, 3)
    body = packed(Volume(slices, Geometry()), None)
    (length,) = struct.unpack_from("<I", body)
    assert json.loads(body[4 : 4 + length])["channels"] == 3
    assert np.array_equal(np.frombuffer(body, "<u2", offset=4 + length), slices.ravel())
