"""The room's API as an OpenAPI document, made of the same table and forms that serve it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from client.room.forms import Form, SignIn
from client.room.ways import EVERYONE, WAYS, WORKING, Way
from client.site import Site
from client.store.reader_shelf import Account
from client.versions import versions

COOKIE = "wardround-room"

_WHY: Mapping[int, str] = {
    400: "the request does not fit, or comes from another page",
    401: "nobody is signed in",
    403: "not for this role, or not this reader's case",
    404: "there is no such slice",
    409: "the answer cannot be kept, or the study does not run here just now",
    410: "the image cannot be had",
    429: "too many wrong passwords just now",
    503: "the database is busy or its disk full, or too many sign in; nothing was changed",
}
_ANSWERS = (400, 401, 403, 409, 503)
_NUMBER = {"type": "integer", "minimum": 0, "maximum": 9_999_999_999_999_999}
_PLACE: Mapping[str, Mapping[str, object]] = {
    "study": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    "cycle": _NUMBER,
    "position": _NUMBER,
    "slice": _NUMBER,
    "practice": {"type": "string", "enum": ["1"]},
}


def document() -> dict[str, Any]:
    """The document."""
    paths = {way.path: {way.method.lower(): _asked(way)} for way in EVERY}
    paths["/api/sign-in"] = {"post": _posted(SignIn, "Sign in.", (400, 401, 429, 503))}
    paths["/api/sign-out"] = {"post": _posted(Form, "Sign out.", (400, 503))}
    paths["/api/image"] = {"get": _image()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "wardround reading room",
            "version": versions().get("wardround", "0"),
            "description": "Research use, not for diagnosis. Bodies are JSON from the same origin.",
        },
        "paths": dict(sorted(paths.items())),
        "components": {
            "securitySchemes": {"session": {"type": "apiKey", "in": "cookie", "name": COOKIE}}
        },
    }


def told(site: Site, who: Account, form: Form) -> dict[str, Any]:
    """The same for a page."""
    return document()


EVERY: tuple[Way, ...] = (*WAYS, Way("/api/openapi.json", told, EVERYONE))
"""Every way, this document's own too."""


def _asked(way: Way) -> dict[str, Any]:
    words = (way.act.__doc__ or "").partition("\n")[0]
    who = f"For {', '.join(sorted(way.roles))}."
    if way.form is None:
        return _signed({"summary": words, "description": who, "responses": _responses(_ANSWERS)})
    return _signed({**_posted(way.form, words, _ANSWERS), "description": who})


def _posted(form: type[Form], words: str, codes: Sequence[int]) -> dict[str, Any]:
    return {
        "summary": words,
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _schema(form)}},
        },
        "responses": _responses(codes),
    }


def _image() -> dict[str, Any]:
    pixels = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    return _signed(
        {
            "summary": "One slice of a case as 16-bit pixels behind a JSON header.",
            "description": f"For {', '.join(sorted(WORKING))}.",
            "parameters": [
                {
                    "name": name,
                    "in": "query",
                    "required": name not in ("slice", "practice"),
                    "schema": schema,
                }
                for name, schema in _PLACE.items()
            ],
            "responses": {
                **_responses((*_ANSWERS, 404, 410)),
                "200": {"description": "the slice", "content": pixels},
            },
        }
    )


def _signed(operation: dict[str, Any]) -> dict[str, Any]:
    return {**operation, "security": [{"session": []}]}


def _responses(codes: Sequence[int]) -> dict[str, Any]:
    error = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
    refused = {"application/json": {"schema": error}}
    told = {str(c): {"description": _WHY[c], "content": refused} for c in sorted(codes)}
    done = {"application/json": {"schema": {"type": "object", "required": ["format"]}}}
    return {"200": {"description": "done", "content": done}, **told}


def _schema(form: type[Form]) -> dict[str, Any]:
    """The form's schema with its parts in place: each stands by itself."""
    schema = form.model_json_schema()
    parts = schema.pop("$defs", {})
    return dict(_in_place(schema, parts))


def _in_place(value: Any, parts: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        if "$ref" in value:
            return _in_place(parts[value["$ref"].rpartition("/")[2]], parts)
        return {name: _in_place(inner, parts) for name, inner in value.items()}
    return [_in_place(inner, parts) for inner in value] if isinstance(value, list) else value
