"""What becomes of each message on a site's stream, after its arrival."""

from __future__ import annotations

from protocol.coordination_pb2 import FromSite
from server.coordination.checks import check
from server.coordination.intake import Intake
from server.coordination.refusal import invalid
from server.coordination.stream import Stream


def listen(intake: Intake, stream: Stream, said: FromSite | None) -> None:
    """Take in one message; None is one that could not be read.

    Raises:
        Refusal: it is not one that a site may send now.
    """
    if said is None:
        raise invalid("a message that cannot be read")
    field = check(said)
    stream.listen()
    if field == "arrival":
        raise invalid("a second arrival on one stream")
    if field == "heartbeat":
        _beat(intake, stream, said)
    elif field == "progress":
        intake.progress(stream.site, said.progress)
    elif field == "standing":
        intake.stand(stream.site, said.standing)
    else:
        stream.say(intake.head(stream.site, said.head))


def _beat(intake: Intake, stream: Stream, said: FromSite) -> None:
    beat = said.heartbeat
    if beat.acknowledged > stream.given:
        raise invalid(f"acknowledged {beat.acknowledged}: sent was up to {stream.given}")
    stream.acknowledged = max(stream.acknowledged, beat.acknowledged)
    if beat.sent > 0:
        stream.skew, stream.skewed = intake.clock(stream.site, beat.sent, stream.skewed)
