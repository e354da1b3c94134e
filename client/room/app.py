"""The reading room's web application: one page, and what it asks for."""

from __future__ import annotations

import sqlite3
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import PurePosixPath

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from client.images import Unreadable
from client.queue import ReadingRefused
from client.room import acts
from client.room.doors import Crowded, Doors, Forbidden, NotSignedIn, TooManyGuesses
from client.room.forms import BadRequest, Form, SignIn, form_of
from client.room.library import Library, NoSlice
from client.room.openapi import COOKIE, EVERY
from client.room.ways import EVERYONE, WORKING, Way
from client.site import Site
from client.store.step_shelf import StepRefused
from daemons.web.headers import Headed, headers
from daemons.web.sessions import LASTS

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
    (Crowded, 503),
    (BadRequest, 400),
    (ReadingRefused, 409),
    (Unreadable, 410),
    (NoSlice, 404),
)

Answer = Callable[[Request], Awaitable[Response]]


def build(library: Library, hosts: Sequence[str], *, secure: bool) -> Starlette:
    """The application.

    Args:
        library: of the site.
        hosts: names by which it may be called; another name is a page that was tricked into it.
        secure: it is served over TLS.
    """
    doors = Doors()

    @asynccontextmanager
    async def life(app: Starlette) -> AsyncIterator[None]:
        yield
        doors.shut()
        library.close()

    return Starlette(
        routes=[
            Route("/", _page, methods=["GET"]),
            Route("/page/{name}", _page, methods=["GET"]),
            Route("/api/sign-in", _sign_in(library, doors, secure=secure), methods=["POST"]),
            Route("/api/sign-out", _sign_out(library, doors), methods=["POST"]),
            Route("/api/image", _image(library, doors), methods=["GET"]),
            *(Route(w.path, _answer(library, doors, w), methods=[w.method]) for w in EVERY),
        ],
        middleware=[
            Middleware(Headed, headers=HEADERS),
            Middleware(TrustedHostMiddleware, allowed_hosts=[*hosts]),
        ],
        lifespan=life,
    )


def _answer(library: Library, doors: Doors, way: Way) -> Answer:
    ask = library.ask if way.form else library.look
    if way.aside:
        ask = library.ask_aside

    async def answer(request: Request) -> Response:
        body = await form_of(request, way.form) if way.form else Form()
        token = request.cookies.get(COOKIE, "")
        told = await ask(lambda site: way.act(site, doors.who(site, token, way.roles), body))
        return JSONResponse(told)

    return _kept_short(answer)


def _image(library: Library, doors: Doors) -> Answer:
    async def image(request: Request) -> Response:
        place = acts.Place.of(request.query_params)
        token = request.cookies.get(COOKIE, "")

        def find(site: Site) -> tuple[int, int]:
            return acts.pixels(site, doors.who(site, token, WORKING), place)

        body = await library.picture(find, place.position, place.slice)
        return Response(body, media_type="application/octet-stream")

    return _kept_short(image)


def _sign_in(library: Library, doors: Doors, *, secure: bool) -> Answer:
    async def sign_in(request: Request) -> Response:
        form = await form_of(request, SignIn)
        address = request.client.host if request.client else ""
        token = await doors.open(library.ask, form.name, form.password, address)
        told = await library.ask(lambda site: acts.me(site, doors.who(site, token, EVERYONE)))
        answer = JSONResponse(told)
        tls = secure or request.url.scheme == "https"  # as a proxy on this machine may say
        answer.set_cookie(
            COOKIE, token, max_age=int(LASTS), httponly=True, samesite="strict", secure=tls
        )
        return answer

    return _kept_short(sign_in)


def _sign_out(library: Library, doors: Doors) -> Answer:
    async def sign_out(request: Request) -> Response:
        await form_of(request, Form)
        token = request.cookies.get(COOKIE, "")
        await library.ask(lambda site: doors.close(site, token))
        answer = JSONResponse({"format": 1})
        answer.delete_cookie(COOKIE)
        return answer

    return _kept_short(sign_out)


async def _page(request: Request) -> Response:
    """The page and its parts, which say nothing of anybody and need no session."""
    name = request.path_params.get("name", "index.html")
    kind = _KINDS.get(PurePosixPath(name).suffix, "")
    file = files("client.room").joinpath("page", name)
    if not kind or "/" in name or "\\" in name or not file.is_file():
        return JSONResponse({"error": "there is no such file"}, 404)
    return Response(file.read_bytes(), media_type=f"{kind}; charset=utf-8")


def _kept_short(answer: Answer) -> Answer:
    """The answer, or one sentence why there is none; no text of another library leaves."""

    async def short(request: Request) -> Response:
        try:
            return await answer(request)
        except Exception as error:
            code, words = _sentence(error)
            return JSONResponse({"error": words}, code)

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
