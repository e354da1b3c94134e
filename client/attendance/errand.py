"""Carrying out what the server says: each offer and order once, and nothing that is not signed."""

from __future__ import annotations

import os
from dataclasses import dataclass

from client.attendance.news import ACKNOWLEDGED, BRANCH_LEFT
from client.audit import summed
from client.audit.chain import Entry, note
from client.audit.heads import Signed, genuine, hash_at, keep, kept, public_key
from client.examining import OfferRefused, plain, wrong_names
from client.paths import HomePaths
from client.privacy.lost import forgot
from client.receiving import keep as keep_offer
from client.receiving import readable, refuse
from client.store.offer_shelf import Offer
from client.store.store import SiteStore, now
from protocol.coordination_pb2 import FromServer, Order, SignedHead
from protocol.coordination_pb2 import Offer as Offered

RESTART_NODE = "restart-supernode"
"""The file in `run` at which the supervisor starts the SuperNode anew."""

_STORED = 2**63  # SQLite's integers end here
_SAYS = {
    "study-paused": "paused by the server",
    "study-resumed": "",
    "study-stopped": "stopped by the server",
    "study-ended": "ended",
}


@dataclass(frozen=True, slots=True)
class Errands:
    """What the server may have a site do.

    Attributes:
        paths: of the home.
        site: its name, as the server signs it.
        store: its database.
    """

    paths: HomePaths
    site: str
    store: SiteStore

    async def carry_out(self, message: FromServer) -> None:
        """Do what has a sequence, once; on return it and its sequence are committed."""
        done = int(self.store.cases.fact(ACKNOWLEDGED, "0"))
        if message.sequence <= done or message.sequence >= _STORED:
            return
        wrong = ""
        offer = _offer(message.offer) if message.HasField("offer") else None
        if offer is not None:
            wrong = await self._examined(offer)
        if message.HasField("order") and message.order.kind == "restart-node":
            self._restart_node()
        with self.store.transaction():
            if offer is not None:
                self._keep(offer, wrong)
            elif message.HasField("order"):
                self._note(message.order)
            self.store.cases.set_fact(ACKNOWLEDGED, str(message.sequence))

    def countersigned(self, head: SignedHead) -> str:
        """Keep the server's signature of this site's log; why it is not kept, "" if it is."""
        signed = self._genuine(head)
        if signed is None:
            return "a countersignature is not the server's"
        try:
            with self.store.transaction():
                keep(self.store, signed)
        except ValueError:
            return "a countersignature is not of this site's audit log"
        return ""

    def compare(self, newest: SignedHead) -> str:
        """Log it if the server has signed what this log does not hold; what is wrong, or "".

        A database that was restored from an old copy holds less than the server has signed.
        """
        if not newest.lines:
            return ""
        signed = self._genuine(newest)
        if signed is None:
            return "the newest countersignature is not the server's"
        fits = hash_at(self.store, signed.lines) == signed.hash
        left = signed.branch - 1 if fits else signed.branch  # the last branch that was left
        if fits and left < max((s.branch for s in kept(self.store)), default=1):
            return ""
        words = f"the server has signed {signed.lines} lines that this log does not continue"
        with self.store.transaction():
            if left > int(self.store.cases.fact(BRANCH_LEFT, "0")):  # once for each
                note(self.store, "restored", words=words)
                forgot(self.store)
                self.store.cases.set_fact(BRANCH_LEFT, str(left))
        return "the audit log is not the one that the server has signed: restored from a copy?"

    async def _examined(self, offer: Offer) -> str:
        """Why an offer may not run here, "" if it may; an unreadable one is told of when kept."""
        known = self.store.offers.find(offer.identity)
        if known is not None and known.weights == offer.weights:
            return ""  # nothing will change
        try:
            return await wrong_names(self.paths.home, readable(offer))
        except OfferRefused as error:
            return str(error)

    def _keep(self, offer: Offer, wrong: str) -> None:
        try:
            keep_offer(self.store, offer, readable(offer), wrong)
        except OfferRefused as error:
            refuse(self.store, offer.identity, str(error))

    def _restart_node(self) -> None:
        self.paths.run.mkdir(mode=0o700, exist_ok=True)
        os.close(os.open(self.paths.run / RESTART_NODE, os.O_WRONLY | os.O_CREAT, 0o600))

    def _note(self, order: Order) -> None:
        kind = plain(order.kind, 40)
        if kind in _SAYS and self.store.offers.find(order.study):
            self.store.cases.set_fact(f"server says {order.study}", _SAYS[kind])
        known = kind in _SAYS or kind == "restart-node"
        words = kind if known else f"{kind} is not a thing that the server may order"
        event = "ordered" if known else "refused"
        like = f"order/{kind if known else ''}"  # a flood of orders shares its lines
        summed.repeated(self.store, Entry("site", event, "Order", words=words), like)

    def _genuine(self, head: SignedHead) -> Signed | None:
        if max(head.lines, head.branch) >= _STORED:
            return None
        signed = Signed(head.branch, head.lines, head.hash, head.at, head.signature)
        try:
            key = public_key(self.paths.kit / "heads.pub")
        except ValueError:
            return None
        return signed if genuine(signed, self.site, key) else None


def _offer(offered: Offered) -> Offer:
    return Offer(
        identity=offered.study,
        document=offered.document,
        weights=offered.weights,
        asked_by=offered.asked_by,
        sites=offered.sites,
        parameters=min(offered.parameters, _STORED - 1),
        version=offered.version,
        received=now(),
    )
