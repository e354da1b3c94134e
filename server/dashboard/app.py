"""The dashboard's web application: a login, read-only pages, and a JSON twin of each."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from jinja2 import Environment, PackageLoader, select_autoescape
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from daemons.web.headers import headers
from daemons.web.sessions import Guesses, Sessions
from server.dashboard import pages
from server.dashboard.passwords import has_password, right_password
from server.home import ServerPaths

COOKIE = "wardround"
REFRESH = 10
"""Seconds after which a page loads itself anew."""

LONGEST_FORM = 4096
"""Bytes of a login form."""

HEADERS = headers("style-src 'self'; form-action 'self'")

Answer = Callable[[Request], Awaitable[Response]]
Content = Callable[[ServerPaths, str], dict[str, Any] | None]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """What the pages need.

    Attributes:
        paths: of the server's home.
        sessions: who is signed in.
        guesses: wrong passwords of late.
        templates: of the pages.
        secure: the cookie travels over TLS only.
    """

    paths: ServerPaths
    sessions: Sessions
    guesses: Guesses
    templates: Environment
    secure: bool

    @property
    def password(self) -> Path:
        """The file of the password's hash."""
        return self.paths.pki / "dashboard.json"

    def signed_in(self, request: Request) -> bool:
        """Whether the request carries a session, or the password itself, as programs do."""
        if self.sessions.alive(request.cookies.get(COOKIE, "")):
            return True
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "basic" and self._right(_basic(text))

    def _right(self, password: str) -> bool:
        if self.guesses.closed() or not right_password(self.password, password):
            self.guesses.wrong()
            return False
        return True

    def page(self, name: str, status: int = 200, **content: Any) -> HTMLResponse:
        """A page from its template."""
        html = self.templates.get_template(f"{name}.html.j2").render(refresh=REFRESH, **content)
        return HTMLResponse(html, status, HEADERS)

    async def sign_in(self, request: Request) -> Response:
        """The login form, and what becomes of a password."""
        if not has_password(self.password):
            return self.page("login", 403, missing=True)
        if request.method == "GET":
            return self.page("login")
        if not self._right(await _password(request)):
            return self.page("login", 429 if self.guesses.closed() else 401, wrong=True)
        answer = RedirectResponse("/", 303, HEADERS)
        answer.set_cookie(
            COOKIE, self.sessions.begin(), httponly=True, samesite="strict", secure=self.secure
        )
        return answer

    async def sign_out(self, request: Request) -> Response:
        """End the session."""
        self.sessions.end(request.cookies.get(COOKIE, ""))
        answer = RedirectResponse("/login", 303, HEADERS)
        answer.delete_cookie(COOKIE)
        return answer

    async def style(self, request: Request) -> Response:
        """The style sheet, which says nothing and needs no session."""
        text = self.templates.get_template("style.css.j2").render()
        return Response(text, 200, HEADERS, media_type="text/css")

    def shown(self, name: str, found: Content) -> Answer:
        """A page and its twin: the same content, as HTML or, below /api, as JSON."""

        async def answer(request: Request) -> Response:
            twin = request.url.path.startswith("/api/")
            if not self.signed_in(request):
                if twin:
                    return JSONResponse({"error": "sign in"}, 401, HEADERS)
                return RedirectResponse("/login", 303, HEADERS)
            content = found(self.paths, str(request.path_params.get("identity", "")))
            if content is None:
                missing = {"error": "there is no such study"}
                return JSONResponse(missing, 404, HEADERS) if twin else self.page("missing", 404)
            if twin:
                return JSONResponse({"format": 1, **content}, 200, HEADERS)
            return self.page(name, **content)

        return answer


def build(paths: ServerPaths, hosts: list[str], *, secure: bool) -> Starlette:
    """The application.

    Args:
        paths: of the server's home.
        hosts: names by which it may be called; another name is a page that was tricked into it.
        secure: it is served over TLS.
    """
    templates = Environment(
        loader=PackageLoader("server.dashboard"), autoescape=select_autoescape(("html.j2", "j2"))
    )
    board = Dashboard(paths, Sessions(), Guesses(), templates, secure)
    routes = [
        Route("/login", board.sign_in, methods=["GET", "POST"]),
        Route("/logout", board.sign_out, methods=["POST"]),
        Route("/style.css", board.style),
    ]
    for path, name, found in (
        ("/", "overview", pages.overview),
        ("/sites", "sites", pages.sites),
        ("/studies/{identity}", "study", pages.study),
    ):
        routes += [
            Route(path, board.shown(name, found)),
            Route(f"/api{path.rstrip('/') or '/overview'}", board.shown(name, found)),
        ]
    return Starlette(
        routes=routes, middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts)]
    )


async def _password(request: Request) -> str:
    """The password of the posted form; "" where the form is larger than one can be."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LONGEST_FORM:
            return ""
    try:
        fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=4)
    except ValueError:  # more fields than the form has
        return ""
    return fields.get("password", [""])[0]


def _basic(text: str) -> str:
    """The password of HTTP Basic authentication; the name does not matter."""
    try:
        return base64.b64decode(text, validate=True).decode().partition(":")[2]
    except ValueError:  # no base64, or of no text; binascii's errors are such, too
        return ""
