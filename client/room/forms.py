"""What a page may send, checked where it comes in."""

from __future__ import annotations

import re
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from starlette.requests import Request

from client.room.desk import Given
from client.store.draft_shelf import Draft

MOST = 16_384
"""Bytes of a body."""

REASONS = ("quality", "wrong body part", "text in the image", "other")
"""Why a case cannot be read."""

_FETCHED = ("", "same-origin", "none")
_JSON = re.compile(r"application/json\s*(;.*)?", re.IGNORECASE)


class BadRequest(ValueError):
    """A request that is not carried out, in one sentence."""


class Form(BaseModel):
    """A body without fields."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class SignIn(Form):
    """Name and password."""

    name: Annotated[str, Field(max_length=64)]
    password: Annotated[str, Field(max_length=1024)]


Identity = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Which(Form):
    """A study, by its identity."""

    study: Identity


class Drafted(Form):
    """What is chosen for a case so far."""

    study: Identity
    cycle: Annotated[int, Field(ge=0, lt=2**31)]
    position: Annotated[int, Field(ge=0, lt=2**53)]
    value: Annotated[list[Annotated[int, Field(ge=0, le=1)]], Field(max_length=512)] = []
    confidence: Annotated[int, Field(ge=1, le=5)] | None = None
    comment: Annotated[str, Field(max_length=2000)] = ""

    @property
    def draft(self) -> Draft:
        """As the desk takes it."""
        return Draft(tuple(self.value), self.confidence, self.comment)


class Audited(Form):
    """Which lines of the audit log: of a day (UTC) and a kind, before a line; all without."""

    day: Annotated[str, Field(pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2})?$")] = ""
    kind: Literal["", "cases", "people", "left", "refused", "decided"] = ""
    before: Annotated[int, Field(ge=0, lt=2**53)] = 0


class Left(Form):
    """Somebody leaves the case on their screen, with what they had chosen."""

    draft: Drafted | None = None


class Looked(Form):
    """A case that its reader has answered, to be looked at again."""

    study: Identity
    cycle: Annotated[int, Field(ge=0, lt=2**31)]
    position: Annotated[int, Field(ge=0, lt=2**53)]


class Practised(Form):
    """An answer to a practice case; no time is counted."""

    study: Identity
    position: Annotated[int, Field(ge=0, lt=2**31)]
    answer: Literal["answered", "unsure", "unreadable"]
    value: Annotated[list[Annotated[int, Field(ge=0, le=1)]], Field(max_length=512)] = []


class Answered(Form):
    """An answer to a case."""

    study: Identity
    submission: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{16,64}$")]
    cycle: Annotated[int, Field(ge=0, lt=2**31)]
    position: Annotated[int, Field(ge=0, lt=2**53)]
    answer: Literal["answered", "unsure", "unreadable"]
    value: Annotated[list[Annotated[int, Field(ge=0, le=1)]], Field(max_length=512)] = []
    seconds: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False, strict=False)]
    confidence: Annotated[int, Field(ge=1, le=5)] | None = None
    reason: Literal["", "quality", "wrong body part", "text in the image", "other"] = ""
    comment: Annotated[str, Field(max_length=2000)] = ""

    @model_validator(mode="after")
    def _fits(self) -> Answered:
        if bool(self.reason) != (self.answer == "unreadable"):
            raise ValueError("a reason is for what is not readable")
        return self

    @property
    def given(self) -> Given:
        """As the desk takes it."""
        told = self.model_dump(exclude={"study"})
        return Given(**{**told, "value": tuple(self.value)})


F = TypeVar("F", bound=Form)


async def form_of(request: Request, kind: type[F]) -> F:
    """The body of a request that one of our own pages sent.

    Raises:
        BadRequest: it comes from elsewhere, is too large, or does not fit.
    """
    _from_our_page(request)
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST:
            raise BadRequest(f"a body of more than {MOST} bytes; accepted is a smaller one")
    try:
        return kind.model_validate_json(body or b"{}")
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise BadRequest(f"the body does not fit ({field or 'whole'}: {first['type']})") from None


def _from_our_page(request: Request) -> None:
    """A form of another site can send neither JSON nor our own origin."""
    sent = request.headers
    origin = sent.get("origin", "")
    if not _JSON.fullmatch(sent.get("content-type", "")):
        raise BadRequest("accepted is JSON")
    ours = origin.partition("://")[2] == sent.get("host", "")
    if (origin and not ours) or sent.get("sec-fetch-site", "") not in _FETCHED:
        raise BadRequest("accepted are requests of the reading room's own page")
