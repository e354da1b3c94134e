"""How a call ends that is not allowed, or cannot be served."""

from __future__ import annotations

import grpc


class Refusal(Exception):
    """A call ends with this status; the detail is our own and repeats nothing that a site sent."""

    def __init__(self, code: grpc.StatusCode, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def invalid(detail: str) -> Refusal:
    """The message is not one of ours."""
    return Refusal(grpc.StatusCode.INVALID_ARGUMENT, detail)
