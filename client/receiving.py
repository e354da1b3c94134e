"""An offer that arrives: kept as waiting, kept as refused, or not kept at all; always logged."""

from __future__ import annotations

import json
import re
from dataclasses import replace

from client.audit.chain import Entry
from client.audit.summed import repeated
from client.examining import OfferRefused, plain, read
from client.store.offer_shelf import Offer
from client.store.store import SiteStore
from protocol.study import Study, document

MOST_OFFERS = 256
"""As many as one message may tell the standing of; no server has so many studies."""

_HASH = re.compile(r"[0-9a-f]{64}")


def readable(offer: Offer) -> Study:
    """The study that an offer brings.

    Raises:
        OfferRefused: it is none, its identity is another, or its weights have no hash.
    """
    if not _HASH.fullmatch(offer.weights):
        raise OfferRefused("the first weights have no hash; accepted are 64 hex digits")
    return read(offer.document, offer.identity)


def keep(store: SiteStore, offer: Offer, study: Study, wrong: str) -> None:
    """Record a readable offer, within a transaction; one that is known already changes nothing.

    Args:
        store: with a transaction open.
        offer: as it arrived.
        study: what `readable` made of it.
        wrong: why it may not run here, "" if it may; it is then kept as refused, to be looked at.

    Raises:
        OfferRefused: the study is known here with other first weights, or there are too many.
    """
    approved = store.steps.weights(offer.identity)
    known = store.offers.find(offer.identity)
    decided = known is not None and known.state != "refused"
    before = approved or (known.weights if known is not None and decided else "")
    if before and before != offer.weights:
        raise OfferRefused(
            f"first weights {offer.weights[:12]} for a study that is known here with "
            f"{before[:12]}; accepted is a study under a new identity"
        )
    if known is not None and known.weights == offer.weights:
        return
    if known is None and len(store.offers.every()) >= MOST_OFFERS:
        raise OfferRefused(f"one study more than the {MOST_OFFERS} that a site keeps")
    fresh = replace(_tidy(offer), document=json.dumps(document(study)))
    if wrong:
        fresh = replace(fresh, state="refused", decided=fresh.received)
        refuse(store, offer.identity, wrong)
    elif approved:  # by hand, before it was ever offered
        fresh = replace(fresh, state="approved", decided=fresh.received)
    store.offers.keep(fresh)


def refuse(store: SiteStore, identity: str, words: str) -> None:
    """Log an offer that is refused, within a transaction; a flood of them shares its lines."""
    known = identity if _HASH.fullmatch(identity) else ""
    like = f"offer/{words[:12]}"
    repeated(store, Entry("site", "refused", "Offer", known, words=plain(words)), like)


def _tidy(offer: Offer) -> Offer:
    return replace(offer, asked_by=plain(offer.asked_by, 120), version=plain(offer.version, 40))
