"""The only holder of hidden truths in a simulation; every look is counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from client.cases.cases import Cases, Split
from protocol.records import Indices

Truth: TypeAlias = NDArray[np.uint8]


class BudgetOverdrawn(RuntimeError):
    """More truths were looked at than the label budget allows."""


class UnknownCase(KeyError):
    """A truth was asked for that this way of asking does not give."""


class Oracle:
    """Gives truths out, each way counted apart, in truths given out.

    "reading" is what simulated readers look at, bounded by the allowance; "bound" is the fully
    supervised bound; "locked" is the locked-test evaluation. Readers see the pool only, audit cases
    included; test truths leave through `locked` alone, and validation truths not at all.
    """

    def __init__(self, cases: Cases, sites: Mapping[str, Indices], allowance: int) -> None:
        """Take the truths of those rows of the cases.

        Args:
            cases: with targets.
            sites: the rows of every site.
            allowance: readings that may be answered in all, at least 0.
        Raises:
            ValueError: the cases have no targets, or the allowance is negative.
        """
        if cases.targets is None:
            raise ValueError(
                "an oracle was asked for cases without labels; accepted are labeled ones"
            )
        if allowance < 0:
            raise ValueError(f"an allowance of {allowance} readings; accepted is at least 0")
        self._allowance = allowance
        self._counts = {"reading": 0, "bound": 0, "locked": 0}
        self._pool = {name: _truths(cases, rows, "pool") for name, rows in sites.items()}
        self._test = {name: _truths(cases, rows, "test") for name, rows in sites.items()}

    def look(self, site: str, case: str) -> Truth:
        """The truth (classes,) of one pool case, for a reader; counts one reading.

        Raises:
            BudgetOverdrawn: the allowance is used up; nothing is given or counted.
            UnknownCase: no such case in the pool of that site.
        """
        truths = _of(self._pool, site)
        if case not in truths:
            raise UnknownCase(f"{site}: no such case in this pool")
        self._spend(self._counts["reading"] + 1)
        return truths[case]

    def reveal(self, site: str) -> Mapping[str, Truth]:
        """Every pool truth of a site by case key, for the fully supervised bound."""
        truths = _of(self._pool, site)
        self._counts["bound"] += len(truths)
        return dict(truths)

    def locked(self, site: str) -> Mapping[str, Truth]:
        """Every test truth of a site by case key, for the locked-test evaluation."""
        truths = _of(self._test, site)
        self._counts["locked"] += len(truths)
        return dict(truths)

    def counts(self) -> Mapping[str, int]:
        """Truths given out so far, by kind: "reading", "bound", "locked"."""
        return dict(self._counts)

    def restore(self, looks: int) -> None:
        """Start from that many readings already answered, in a run that is continued.

        Raises:
            BudgetOverdrawn: more than the allowance.
            ValueError: negative, or fewer than were counted here.
        """
        if looks < self._counts["reading"]:
            raise ValueError(
                f"{looks} readings to restore; accepted is at least {self._counts['reading']}, "
                "the looks counted here"
            )
        self._spend(looks)

    def _spend(self, readings: int) -> None:
        if readings > self._allowance:
            raise BudgetOverdrawn(
                f"reading {readings} was asked for; accepted are {self._allowance}, the budget"
            )
        self._counts["reading"] = readings


def _truths(cases: Cases, rows: Indices, split: Split) -> dict[str, Truth]:
    """Read-only truths of one split by case key."""
    assert cases.targets is not None  # noqa: S101 - the constructor has looked
    return {cases.keys[i]: cases.targets[i] for i in rows if cases.splits[i] == split}


def _of(truths: Mapping[str, dict[str, Truth]], site: str) -> dict[str, Truth]:
    if site not in truths:
        raise UnknownCase(f"no site named {site!r}; known are {len(truths)} others")
    return truths[site]
