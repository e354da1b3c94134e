"""What one reader said is told to nobody before it is adjudicated, by no route."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from client.room.openapi import document
from protocol.study import Study

ROLES = {
    "ann": "reader",
    "ben": "reader",
    "cleo": "adjudicator",
    "dora": "admin",
    "otto": "auditor",
}


LAST = ("/api/leave", "/api/undo", "/api/answer")  # the room is another after these


def asked(study: Study) -> dict[str, dict[str, Any] | None]:
    """A body for every route of the API, about the case that was answered; None for questions."""
    fields = {
        "study": study.identity,
        "cycle": 0,
        "position": 0,
        "answer": "answered",
        "value": [1, 0, 0],
        "seconds": 2.0,
    }
    found: dict[str, dict[str, Any] | None] = {}
    for path, methods in document()["paths"].items():
        if "get" in methods:
            found[path] = None
        elif path not in ("/api/sign-in", "/api/sign-out"):
            content = methods["post"]["requestBody"]["content"]["application/json"]
            names = content["schema"].get("properties", {})
            found[path] = {k: v for k, v in fields.items() if k in names}
            if "submission" in names:
                found[path] |= {"submission": f"{path.rpartition('/')[2]:x>20}"}
    return dict(sorted(found.items(), key=lambda one: LAST.index(one[0]) if one[0] in LAST else -1))


def everything(page: Any, study: Study) -> dict[str, str]:
    """What somebody is told by every route of the API, in one order, whatever it is."""
    told = {}
    bodies = asked(study)
    place = {"study": study.identity, "cycle": 0, "position": 0}
    for path, body in bodies.items():
        if body is None:
            answer = page.client.get(path, params=place if path == "/api/image" else None)
        else:
            answer = page.client.post(path, json=body)
        told[path] = answer
    told["next again"] = page.client.post("/api/next", json=bodies["/api/next"])
    told["image again"] = page.client.get("/api/image", params=place | {"position": 1})
    return {path: f"{answer.status_code} {plain(answer)}" for path, answer in told.items()}


def plain(answer: httpx.Response) -> str:
    """Headers and body without the times that no two runs share."""
    headers = {k: v for k, v in answer.headers.items() if k != "date"}
    text = f"{headers} {answer.content.decode('latin1')}"
    return re.sub(r"\d{4}-\d\d-\d\dT[\d:+]{8,}", "TIME", text)


@pytest.mark.slow
def test_whatever_ann_says_everybody_else_is_told_the_same(
    make_room: Callable[..., Any], pages: Callable[..., Any], tmp_path: Path
) -> None:
    room = make_room("reading.readers_per_case=2", "reading.show_ai=after")
    room.open(3, 20)
    room.let_in(**ROLES)
    other = replace(room, home=tmp_path / "other")
    shutil.copytree(room.home, other.home)
    words = (
        {"chosen": 1, "comment": "surely-this", "confidence": 5},
        {"chosen": None, "comment": "no-idea", "confidence": 1},
    )
    found: list[dict[str, dict[str, str]]] = []
    for one, said in zip((room, other), words, strict=True):
        ann = pages(one, "ann")
        assert ann.answer(ann.next(), submission="c" * 20, **said).status_code == 200
        told = {}
        for name in ("otto", "dora", "cleo", "ben"):
            told[name] = everything(pages(one, name), one.study)
        found.append(told)
    for name in found[0]:
        for path, answer in found[0][name].items():
            assert answer == found[1][name][path], (name, path)
            assert not re.search("surely-this|no-idea", answer)
    assert found[0]["ben"]["/api/next"].startswith("200")
    assert found[0]["otto"]["/api/audit"].count("ann answered case ") == 1


@pytest.mark.slow
def test_the_adjudicator_alone_sees_what_two_said(
    make_room: Callable[..., Any], pages: Callable[..., Any]
) -> None:
    room = make_room("reading.readers_per_case=2")
    room.open(1, 20)
    room.let_in(**ROLES)
    ann, ben, cleo = (pages(room, name) for name in ("ann", "ben", "cleo"))
    ann.answer(ann.next(), 1, comment="surely-this")
    ben.answer(ben.next(), 2)
    for name in ("ben", "dora", "otto"):
        assert "surely-this" not in str(everything(pages(room, name), room.study))
    agreed = pages(room, "dora").client.get("/api/agreement").json()["studies"]
    assert agreed == []  # of one case it would tell what was answered
    offer = cleo.next()
    assert "surely-this" in json.dumps(offer)
    assert not re.search(r"\b(ann|ben)\b", json.dumps(offer))
