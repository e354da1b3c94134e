"""What a site's admin decides about studies: approve, refuse, pause, resume, withdraw."""

from __future__ import annotations

from collections.abc import Collection

from client.audit.chain import note
from client.examining import OfferRefused, check_names
from client.receiving import readable
from client.store.offer_shelf import Offer
from client.store.store import SiteStore, now
from daemons.terminal import Refused

_LEAST = 6
_WHY = {  # why a study that stands so is not done what was asked
    "waiting": "is not approved yet",
    "approved": "is approved",
    "paused": "is paused",
    "refused": "was refused",
    "withdrawn": "was withdrawn, which is final",
}


def named(store: SiteStore, prefix: str) -> Offer:
    """The one offer whose identity begins so.

    Raises:
        ValueError: none does, several do, or the beginning is too short to tell.
    """
    prefix = prefix.strip().lower()
    offers = store.offers.every()
    known = ", ".join(o.identity[:12] for o in offers) or "none"
    if len(prefix) < _LEAST:
        raise ValueError(
            f"study {prefix!r}: accepted are at least {_LEAST} characters of an identity; "
            f"known here: {known}"
        )
    found = [o for o in offers if o.identity.startswith(prefix)]
    if len(found) != 1:
        count = "no study here begins" if not found else f"{len(found)} studies here begin"
        raise ValueError(f"{count} with {prefix!r}; known here: {known}")
    return found[0]


def standing(store: SiteStore, offer: Offer) -> str:
    """Where an offered study stands here."""
    return store.offers.standings()[offer.identity]


def approve(store: SiteStore, offer: Offer, packages: Collection[str]) -> None:
    """Let the study run here from now on, with the first weights that it was offered with.

    Args:
        store: of the site.
        offer: waiting, or refused before.
        packages: those outside the project that the site's admin listed.

    Raises:
        Refused: it stands otherwise, or cannot run here.
    """
    _must_stand(store, offer, "approve", "waiting", "refused")
    try:
        study = readable(offer)
        check_names(study, packages)
    except OfferRefused as error:
        raise Refused(f"study {offer.identity[:12]} cannot run here: {error}") from None
    with store.transaction():
        if store.offers.find(offer.identity) != offer:
            raise Refused(f"study {offer.identity[:12]} was offered anew: read its plan again")
        store.steps.approve(study, offer.weights)
        store.offers.decide(offer.identity, "approved", now())
        words = f"weights {offer.weights}"
        note(store, "approved", study=offer.identity, words=words)


def refuse(store: SiteStore, offer: Offer) -> None:
    """Say no to a study; it can be approved later.

    Raises:
        Refused: it was approved, and has to be withdrawn.
    """
    _must_stand(store, offer, "refuse", "waiting", "refused")
    with store.transaction():
        store.offers.decide(offer.identity, "refused", now())
        note(store, "refused", study=offer.identity, words="by the site's admin")


def pause(store: SiteStore, offer: Offer) -> None:
    """Answer nothing for a study until it is resumed.

    Raises:
        Refused: it is not approved.
    """
    _must_stand(store, offer, "pause", "approved", "paused")
    with store.transaction():
        store.offers.stand(offer.identity, "paused")
        note(store, "paused", study=offer.identity)


def resume(store: SiteStore, offer: Offer) -> None:
    """Answer again for a study that was paused.

    Raises:
        Refused: it is not paused.
    """
    _must_stand(store, offer, "resume", "paused", "approved")
    with store.transaction():
        store.offers.stand(offer.identity, "approved")
        note(store, "resumed", study=offer.identity)


def withdraw(store: SiteStore, offer: Offer) -> None:
    """End a study here for good; its readings stay.

    Raises:
        Refused: it was never approved.
    """
    _must_stand(store, offer, "withdraw", "approved", "paused")
    with store.transaction():
        store.offers.stand(offer.identity, "withdrawn")
        store.offers.decide(offer.identity, "withdrawn", now())
        note(store, "withdrawn", study=offer.identity)


def _must_stand(store: SiteStore, offer: Offer, asked: str, *accepted: str) -> None:
    stands = standing(store, offer)
    if stands not in accepted:
        raise Refused(
            f"{asked}: study {offer.identity[:12]} {_WHY[stands]}; "
            f"accepted is one that {' or '.join(_WHY[a] for a in accepted)}"
        )
