"""Agreement of readers, for the room's admin: about labels and definitions, no ranking."""

from __future__ import annotations

from typing import Any

from client.room.forms import Form
from client.site import Site
from client.store.reader_shelf import Account


def agreed(site: Site, who: Account, form: Form) -> dict[str, Any]:
    """How far readers agree with each other and with themselves, in every running study."""
    from client.agreement import agreement, plain  # brings scipy

    studies = [site.store.steps.study(identity) for identity in site.store.steps.approved()]
    told = [agreement(site.store, study) for study in studies]
    return {"format": 1, "studies": [plain(t) for t in told if not t.empty]}
