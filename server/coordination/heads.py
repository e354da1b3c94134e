"""Countersigning: the server's word for how long a site's audit log was, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass, replace

from daemons.secrets import sign
from protocol.coordination import head_words
from protocol.coordination_pb2 import Head, SignedHead
from server.registry.alarm_shelf import AlarmShelf
from server.registry.head_shelf import HeadShelf, Signed
from server.registry.registry import Registry, now


@dataclass(frozen=True, slots=True)
class Countersigner:
    """Signs the heads of sites' audit logs and keeps what it signed.

    Attributes:
        registry: where.
        private: `pki/heads.key`, Ed25519, PEM.
    """

    registry: Registry
    private: bytes

    def newest(self, site: str) -> SignedHead:
        """The newest head of the site that was signed; lines = 0 if none was."""
        return message(HeadShelf(self.registry.connection).newest(site))

    def countersign(self, site: str, head: Head) -> SignedHead:
        """The signature of a head; the same head once more has the same signature.

        A log that is shorter than what was signed last, or ends otherwise at the same line, begins
        a new branch and sounds an alarm: it was restored from a copy, or somebody changed it. One
        that has grown beyond the last signed line looks as it should from here; its site sees that
        line in the welcome, and says in its next head that it left the branch. The caller has a
        transaction open.
        """
        shelf = HeadShelf(self.registry.connection)
        newest = shelf.newest(site)
        last = head.hash if head.lines else ""  # a log without lines has no last one
        if newest is None and not head.lines:
            return message(None)
        same = newest is not None and (newest.lines, newest.hash) == (head.lines, last)
        if newest is not None and same and head.left < newest.branch:
            return message(newest)
        branch = 1
        if newest is not None:
            branch = newest.branch + self._turned(site, newest, head)
        fresh = self._sign(site, Signed(branch, head.lines, last, now(), b""))
        shelf.add(site, fresh)
        return message(fresh)

    def _turned(self, site: str, newest: Signed, head: Head) -> bool:
        """Whether the log cannot have grown from what was signed last; that sounds an alarm."""
        alarms = AlarmShelf(self.registry.connection)
        if head.lines < newest.lines:
            alarms.sound(
                "log-restored",
                f"the audit log came back with {head.lines} lines, "
                f"{newest.lines} were signed before",
                site,
            )
        elif head.left >= newest.branch:
            alarms.sound(
                "log-restored",
                f"the site says that its audit log, of {head.lines} lines now, does not continue "
                f"the {newest.lines} that were signed before",
                site,
            )
        elif head.lines == newest.lines:
            alarms.sound(
                "log-differs",
                f"the audit log ends otherwise at line {head.lines} than what was signed before",
                site,
            )
        return head.lines <= newest.lines or head.left >= newest.branch

    def _sign(self, site: str, head: Signed) -> Signed:
        words = head_words(site, head.branch, head.lines, head.hash, head.at)
        return replace(head, signature=sign(self.private, words))


def message(head: Signed | None) -> SignedHead:
    """The head as it travels."""
    if head is None:
        return SignedHead()
    return SignedHead(
        lines=head.lines,
        hash=head.hash,
        branch=head.branch,
        at=head.at,
        signature=head.signature,
    )
