"""Who may do what, from where; and what nobody is told."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from client import accounts
from daemons.web.sessions import FROM_ONE_ADDRESS, GUESSES

PASSWORD = "a long enough word"  # noqa: S105 - of a room that lives for a second
ROLES = ("reader", "adjudicator", "admin", "auditor")
OUTSIDE = ("admin", "auditor")
RIGHTS = {  # who gets 403; everybody else another answer
    "GET /api/me": (),
    "GET /api/openapi.json": (),
    "GET /api/overview": ("reader", "adjudicator", "auditor"),
    "POST /api/audit": ("reader", "adjudicator", "admin"),
    "GET /api/agreement": ("reader", "adjudicator", "auditor"),
    "GET /api/image": OUTSIDE,
    "POST /api/next": OUTSIDE,
    "POST /api/draft": OUTSIDE,
    "POST /api/answer": OUTSIDE,
    "POST /api/opinion": OUTSIDE,
    "POST /api/second-look": OUTSIDE,
    "POST /api/practice": ("adjudicator", *OUTSIDE),
    "POST /api/undo": OUTSIDE,
    "POST /api/renew": OUTSIDE,
    "POST /api/leave": OUTSIDE,
}


@pytest.fixture
def room(make_room: Callable[..., Any]) -> Any:
    made = make_room("reading.readers_per_case=2")
    made.open(4, 20)
    made.let_in(ann="reader", ben="reader", cleo="adjudicator", dora="admin", otto="auditor")
    return made


def bodies(room: Any) -> dict[str, dict[str, Any]]:
    study = {"study": room.study.identity}
    said = {"cycle": 0, "position": 0, "answer": "unsure", "seconds": 1.0, "submission": "s" * 20}
    place = study | {"cycle": 0, "position": 0}
    second = study | said | {"submission": "t" * 20}
    return {
        "/api/next": study,
        "/api/answer": study | said,
        "/api/undo": study,
        "/api/draft": place,
        "/api/opinion": place,
        "/api/second-look": second,
        "/api/practice": study | {"position": 0, "answer": "unsure"},
    }


def ask(page: Any, room: Any, what: str) -> httpx.Response:
    method, path = what.split()
    if method == "POST":
        return page.client.post(path, json=bodies(room).get(path, {}))
    query = {"study": room.study.identity, "cycle": 0, "position": 0}
    return page.client.get(path, params=query if path == "/api/image" else {})


@pytest.mark.slow
def test_every_route_is_for_its_roles(room: Any, pages: Callable[..., Any]) -> None:
    named = dict(zip(ROLES, ("ann", "cleo", "dora", "otto"), strict=True))
    for role, name in named.items():
        page = pages(room, name)
        for what, closed in RIGHTS.items():
            code = ask(page, room, what).status_code
            if role in closed:
                assert code == 403, (role, what)
            else:
                assert code not in (401, 500), (role, what)
                own = ("GET /api/image", "POST /api/opinion", "POST /api/second-look")
                assert code != 403 or what in own, (role, what)  # not this person's case
    outside = pages(room)
    for what in RIGHTS:
        assert ask(outside, room, what).status_code == 401
    with room.store() as store:
        kept = store.connection.execute("SELECT reader, answer FROM readings").fetchall()
    assert kept == [("ann", "unsure")]  # and taken back, a route later


def test_the_matrix_knows_every_route(room: Any) -> None:
    from client.room.app import build
    from client.room.library import Library

    app = build(Library(room.home), ["x"], secure=False)
    found = {f"{m} {r.path}" for r in app.routes for m in r.methods if m != "HEAD"}  # type: ignore[attr-defined]
    open_to_all = {"GET /", "GET /page/{name}", "POST /api/sign-in", "POST /api/sign-out"}
    assert found == {*RIGHTS, *open_to_all}


@pytest.mark.slow
def test_no_reader_learns_what_a_colleague_said(room: Any, pages: Callable[..., Any]) -> None:
    ann, ben = pages(room, "ann"), pages(room, "ben")
    ann.answer(ann.next(), 1, comment="surely pneumonia")
    told = ""
    for what in RIGHTS:
        if what != "POST /api/answer":
            told += str(dict(ask(ben, room, what).headers)) + ask(ben, room, what).text
    assert "surely" not in told
    assert not re.search(r"\bann\b", told)
    offer = ben.next()
    assert offer["case"]["readings"] == []


@pytest.mark.slow
def test_nothing_of_model_source_or_purpose_is_told(room: Any, pages: Callable[..., Any]) -> None:
    ann = pages(room, "ann")
    with room.store() as store:
        keys = [row[0] for row in store.connection.execute("SELECT key FROM cases")]
        keys += [row[0] for row in store.connection.execute("SELECT key FROM patients")]
    told = ann.client.get("/api/me").text
    offer = ann.next()
    for _ in range(4):
        told += json.dumps(offer)
        body = ann.image(offer["case"]["position"]).content
        told += body[: 4 + int.from_bytes(body[:4], "little")].decode("latin1")
        offer = ann.answer(offer, 0).json()
    told += json.dumps(offer)
    for secret in ("0.125", "0.75", "probs", "query", "audit", "explore", "jane", "scan", *keys):
        assert secret not in told.lower(), secret


@pytest.mark.parametrize(
    "path", ["/", "/page/main.js", "/page/room.css", "/api/me", "/page/none.js"]
)
def test_every_answer_keeps_the_page_to_itself(
    room: Any, pages: Callable[..., Any], path: str
) -> None:
    answer = pages(room).client.get(path)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "server" not in answer.headers


@pytest.mark.parametrize("name", ["..%2Fapp.py", "%2e%2e%2fapp.py", "main.py", "", "..\\app.js"])
def test_the_page_s_folder_alone_is_served(room: Any, pages: Callable[..., Any], name: str) -> None:
    assert pages(room).client.get(f"/page/{name}").status_code == 404


def test_pages_of_others_can_do_nothing(room: Any, pages: Callable[..., Any]) -> None:
    ann = pages(room, "ann")
    study = {"study": room.study.identity}
    evil = {"origin": "https" + "://evil.test"}
    assert ann.client.post("/api/next", json=study, headers=evil).status_code == 400
    assert ann.client.post("/api/next", data=study).status_code == 400
    crossed = {"sec-fetch-site": "cross-site"}
    assert ann.client.post("/api/next", json=study, headers=crossed).status_code == 400
    assert ann.client.get("/", headers={"host": "evil.test"}).status_code == 400
    own = {"origin": str(ann.client.base_url).rstrip("/"), "sec-fetch-site": "same-origin"}
    assert ann.client.post("/api/next", json=study, headers=own).status_code == 200


def test_a_cookie_is_kept_from_scripts_and_other_pages(
    room: Any, pages: Callable[..., Any]
) -> None:
    cookie = pages(room).sign_in("ann").headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


@pytest.mark.slow
def test_behind_a_proxy_of_this_machine_the_cookie_and_the_address_are_the_browser_s(
    room: Any, pages: Callable[..., Any]
) -> None:
    def sign_in(name: str, password: str, address: str) -> httpx.Response:
        headers = {"x-forwarded-proto": "https", "x-forwarded-for": address}
        body = {"name": name, "password": password}
        answer: httpx.Response = pages(room).client.post("/api/sign-in", json=body, headers=headers)
        return answer

    assert "secure" in sign_in("ann", PASSWORD, "10.0.0.1").headers["set-cookie"].lower()
    for number in range(FROM_ONE_ADDRESS):
        assert sign_in(f"name-{number}", "wrong", "10.0.0.2").status_code == 401
    assert sign_in("ann", PASSWORD, "10.0.0.2").status_code == 429
    assert sign_in("ann", PASSWORD, "10.0.0.1").status_code == 200


@pytest.mark.slow
def test_guessing_one_name_slows_down_that_name_alone(room: Any, pages: Callable[..., Any]) -> None:
    page = pages(room)
    for name in ("ann", "nobody"):
        for _ in range(GUESSES):
            wrong = page.sign_in(name, "wrong")
            assert (wrong.status_code, wrong.json()["error"]) == (401, "name or password are wrong")
        assert page.sign_in(name).status_code == 429
    assert page.sign_in("ben").status_code == 200


@pytest.mark.slow
def test_a_session_ends_with_its_account_its_password_or_a_sign_out(
    room: Any, pages: Callable[..., Any]
) -> None:
    ann, ben, cleo = (pages(room, name) for name in ("ann", "ben", "cleo"))
    ann.next()
    with room.store() as store:
        accounts.remove(store, "ann")
        accounts.set_password(store, "ben", "another long word")
        assert store.leases.of("ann") is None
    cleo.post("/api/sign-out")
    for page in (ann, ben, cleo):
        assert page.client.get("/api/me").status_code == 401
    assert ann.sign_in("ann").status_code == 401
    assert ben.sign_in("ben", "another long word").status_code == 200


WRONG: list[dict[str, Any]] = [
    {"value": [1, 1, 0]},
    {"value": [1]},
    {"value": [2, 0, 0]},
    {"answer": "maybe"},
    {"answer": "unsure", "value": [1, 0, 0]},
    {"answer": "unreadable", "value": []},
    {"reason": "quality"},
    {"reason": "because", "answer": "unreadable", "value": []},
    {"confidence": 9},
    {"seconds": -1},
    {"seconds": "NaN"},
    {"submission": "short"},
    {"position": 99},
    {"comment": "x" * 2001},
    {"comment": "x" * 20_000},
    {"study": "0" * 64},
    {"study": "x"},
    {"extra": 1},
]


def test_answers_that_do_not_fit_are_not_kept(room: Any, pages: Callable[..., Any]) -> None:
    ann = pages(room, "ann")
    offer = ann.next()
    for changes in WRONG:
        refused = ann.answer(offer, **changes)
        assert refused.status_code in (400, 409), changes
        assert refused.json()["error"]
        assert "x" * 99 not in refused.text
    with room.store() as store:
        assert not store.readings.answers(room.study.identity, 0)


def test_a_study_that_is_paused_is_not_read(room: Any, pages: Callable[..., Any]) -> None:
    ann = pages(room, "ann")
    offer = ann.next()
    with room.store() as store, store.transaction():
        store.connection.execute("UPDATE studies SET standing = 'paused'")
    assert ann.answer(offer, 1).status_code == 409
    assert ann.image(0).status_code == 409
    assert ann.client.get("/api/me").json()["studies"] == []
