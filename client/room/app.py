"""The reading room's web application: one page, and what it asks for."""

from __future__ import annotations

import sqlite3
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from client.images import Unreadable
from client.queue import ReadingRefused
from client.room import acts
from client.room.doors import Doors, Forbidden, NotSignedIn, TooManyGuesses
from client.room.forms import Answered, BadRequest, Form, SignIn, Which, form_of
from client.room.library import Library, NoSlice
from client.site import Site
from client.store.reader_shelf import Account
from client.store.step_shelf import StepRefused
from daemons.web.headers import headers
from daemons.web.sessions import LASTS

COOKIE = "wardround-room"

HEADERS = headers(
    "script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "form-action 'none'"
)

_KINDS = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}

_CODES: Sequence[tuple[type[Exception], int]] = (
    (NotSignedIn, 401),
    (Forbidden, 403),
    (TooManyGuesses, 429),
    (BadRequest, 400),
    (ReadingRefused, 409),
    (Unreadable, 410),
    (NoSlice, 404),
)

Act = Callable[[Site, Account, Any], Any]
Answer = Callable[[Request], Awaitable[Response]]

WORKING = frozenset({"reader", "adjudicator"})
EVERYONE = WORKING | {"admin"}


def build(library: Library, hosts: Sequence[str], *, secure: bool) -> Starlette:
    """The application.

    Args:
        library: of the site.
        hosts: names by which it may be called; another name is a page that was tricked into it.
        secure: it is served over TLS.
    """
    doors = Doors()

    def does(path: str, act: Act, roles: frozenset[str], form: type[Form] = Form) -> Route:
        """Something that a page asks for: a question without a body, or an act with one."""
        method = "GET" if form is Form and act in acts.QUESTIONS else "POST"
        return Route(path, _answer(library, doors, act, roles, form), methods=[method])

    @asynccontextmanager
    async def life(app: Starlette) -> AsyncIterator[None]:
        yield
        library.close()

    return Starlette(
        routes=[
            Route("/", _page, methods=["GET"]),
            Route("/page/{name}", _page, methods=["GET"]),
            Route("/api/sign-in", _sign_in(library, doors, secure=secure), methods=["POST"]),
            Route("/api/sign-out", _sign_out(doors), methods=["POST"]),
            Route("/api/image", _image(library, doors), methods=["GET"]),
            does("/api/me", acts.me, EVERYONE),
            does("/api/overview", acts.overview, frozenset({"admin"})),
            does("/api/next", acts.following, WORKING, Which),
            does("/api/renew", acts.renew, WORKING),
            does("/api/leave", acts.leave, WORKING),
            does("/api/answer", acts.answer, WORKING, Answered),
            does("/api/undo", acts.undo, WORKING, Which),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=[*hosts])],
        lifespan=life,
    )


def _answer(
    library: Library, doors: Doors, act: Act, roles: frozenset[str], form: type[Form]
) -> Answer:
    async def answer(request: Request) -> Response:
        body = None if request.method in ("GET", "HEAD") else await form_of(request, form)
        token = request.cookies.get(COOKIE, "")
        told = await library.ask(lambda site: act(site, doors.who(site, token, roles), body))
        return JSONResponse(told, 200, HEADERS)

    return _kept_short(answer)


def _image(library: Library, doors: Doors) -> Answer:
    async def image(request: Request) -> Response:
        place = acts.Place.of(request.query_params)
        token = request.cookies.get(COOKIE, "")
        row = await library.ask(
            lambda site: acts.pixels(site, doors.who(site, token, WORKING), place)
        )
        body = await library.picture(row, place.slice)
        return Response(body, 200, HEADERS, media_type="application/octet-stream")

    return _kept_short(image)


def _sign_in(library: Library, doors: Doors, *, secure: bool) -> Answer:
    async def sign_in(request: Request) -> Response:
        form = await form_of(request, SignIn)
        kept = await library.ask(lambda site: site.store.readers.find(form.name))
        token = await doors.open(kept, form.name, form.password)
        told = await library.ask(lambda site: acts.me(site, doors.who(site, token, EVERYONE), None))
        answer = JSONResponse(told, 200, HEADERS)
        answer.set_cookie(
            COOKIE, token, max_age=int(LASTS), httponly=True, samesite="strict", secure=secure
        )
        return answer

    return _kept_short(sign_in)


def _sign_out(doors: Doors) -> Answer:
    async def sign_out(request: Request) -> Response:
        await form_of(request, Form)
        doors.sessions.end(request.cookies.get(COOKIE, ""))
        answer = JSONResponse({"format": 1}, 200, HEADERS)
        answer.delete_cookie(COOKIE)
        return answer

    return _kept_short(sign_out)


async def _page(request: Request) -> Response:
    """The page and its parts, which say nothing of anybody and need no session."""
    name = request.path_params.get("name", "index.html")
    kind = _KINDS.get(PurePosixPath(name).suffix, "")
    file = files("client.room").joinpath("page", name)
    if not kind or "/" in name or "\\" in name or not file.is_file():
        return JSONResponse({"error": "there is no such file"}, 404, HEADERS)
    return Response(file.read_bytes(), 200, HEADERS, media_type=f"{kind}; charset=utf-8")


def _kept_short(answer: Answer) -> Answer:
    """The answer, or one sentence why there is none; no text of another library leaves."""

    async def short(request: Request) -> Response:
        try:
            return await answer(request)
        except Exception as error:
            code, words = _sentence(error)
            return JSONResponse({"error": words}, code, HEADERS)

    return short


def _sentence(error: Exception) -> tuple[int, str]:
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code, str(error)
    if isinstance(error, StepRefused):
        return 409, "the study does not run here just now"
    if isinstance(error, sqlite3.OperationalError):
        return 503, "the database is busy or its disk full; nothing was changed"
    last = traceback.extract_tb(error.__traceback__)[-1]
    print(f"{type(error).__name__} at {last.name}:{last.lineno}", file=sys.stderr, flush=True)
    return 500, "something failed here, and nothing was changed"
