"""What both ends of the coordination plane know besides its messages."""

from __future__ import annotations

PROTOCOL = 1
"""Of the messages in `coordination.proto`; another one is refused at arrival."""

LARGEST_FROM_SITE = 64 << 10
"""Bytes of one message of a site; a longer one ends the stream."""

SILENT_BEATS = 3
"""So many heartbeats may be missed before the other end counts as gone."""

CLOCK_BEHIND, CLOCK_AHEAD = 300.0, 5.0
"""Seconds by which a site's clock may differ from the server's: what Flower's signatures allow."""

STANDINGS = ("waiting", "approved", "paused", "refused", "withdrawn")
"""Where a study may stand at a site."""


def head_words(site: str, branch: int, lines: int, hash: str, at: str) -> bytes:  # noqa: A002  # the message's field
    """What the server signs of the head of a site's audit log.

    Args:
        site: its name.
        branch: from 1.
        lines: how many the log has.
        hash: of the last line, 64 hex digits; "" before the first.
        at: UTC, ISO 8601.
    """
    return f"{site}\n{branch}\n{lines}\n{hash}\n{at}".encode()
