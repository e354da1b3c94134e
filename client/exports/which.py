"""Which study an export is of."""

from __future__ import annotations

from client.store.store import SiteStore
from protocol.study import Study


def study_named(store: SiteStore, word: str) -> Study:
    """The one study that was approved here whose name it is, or whose identity begins so.

    Also one that is paused or withdrawn: what was read at a site stays the site's.

    Raises:
        ValueError: there is none, or several.
    """
    every = store.steps.every()
    found = [s for s in every if s.name == word or (len(word) >= 6 and s.identity.startswith(word))]
    if len(found) != 1:
        known = ", ".join(f"{s.name} {s.identity[:12]}" for s in every) or "none"
        many = "no study" if not found else f"{len(found)} studies"
        raise ValueError(
            f"--study {word!r}: {many} of that name or beginning; approved here: {known}"
        )
    return found[0]
