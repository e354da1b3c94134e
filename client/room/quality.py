"""Agreement of readers, for the room's admin: about labels and definitions, no ranking."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from client.room.forms import Form
from client.site import Site
from client.store.reader_shelf import Account

if TYPE_CHECKING:
    from client.agreement import Agreement


LEAST = 5
"""Cases that what an admin is told rests on: of one or two it would tell what was answered."""


def agreed(site: Site, who: Account, form: Form) -> dict[str, Any]:
    """How far readers agree with each other and with themselves, in every running study."""
    from client.agreement import agreement, plain  # brings scipy

    studies = [site.store.steps.study(identity) for identity in site.store.steps.approved()]
    told = [agreement(site.store, study) for study in studies]
    return {"format": 1, "studies": [plain(_enough(t)) for t in told if not t.empty]}


def _enough(told: Agreement) -> Agreement:
    """Without what rests on too few cases."""
    enough = told.double >= LEAST
    return replace(
        told,
        between=told.between if enough else (),
        pairs=[found for found in told.pairs if found.cases >= LEAST],
        own=[found for found in told.own if found.cases >= LEAST],
        confusions=told.confusions if enough else (),
    )
