"""Sites that tell the server more than is true of their pool."""

from __future__ import annotations

from dataclasses import replace

from client.site import Site
from protocol.records import SiteReport
from protocol.steps import Reply, StepRequest
from protocol.study import Study


def inflate(site: Site, study: Study, request: StepRequest, reply: Reply) -> Reply:
    """Every case of the pool as uncertain as a case can be: all in the highest bin."""
    if not isinstance(reply, SiteReport):
        return reply
    bins = len(reply.uncertainty)
    highest = (0,) * (bins - 1) + (sum(reply.uncertainty),)
    return replace(reply, uncertainty=highest)
