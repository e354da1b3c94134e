"""The PrivacyAccount: one per study and site, over all cycles, restarts and re-runs.

A charge is committed before its step looks at any data (`reserve`), and marked with what it bought
in the transaction that lets the reply out (`release`). A step that dies in between keeps its charge
and, asked again, uses it: nothing had left, so what leaves then is the one release it pays for.

The filter is that of one Rényi order, so schedules may be chosen on the way; see `accounting`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from client.audit.chain import note
from client.privacy.accounting import Cost, Mechanism, best_order, epsilon, room
from client.store.privacy_shelf import Charge, Opened, Scope
from client.store.step_shelf import StepRefused
from client.store.store import SiteStore, now
from protocol.privacy import Privacy
from protocol.records import StepKey
from protocol.steps import Code

SCOPES: tuple[Scope, ...] = ("training", "audit", "locked")
_ROUNDING = 1e-9  # relative: sums of floating-point numbers


@dataclass(frozen=True, slots=True)
class Wanted:
    """A charge that a step asks for.

    Attributes:
        scope: whose patients.
        what: in a few plain words.
        cost: None where nothing in it depends on data.
    """

    scope: Scope
    what: str
    cost: Cost | None = None


class OverBudget(StepRefused):
    """A step that would spend more than the study may; nothing was looked at."""

    def __init__(self, words: str) -> None:
        super().__init__(Code.OVER_BUDGET, words)


@dataclass(frozen=True, slots=True)
class PrivacyAccount:
    """What one study spends here.

    Attributes:
        store: of the site.
        study: identity.
        privacy: what the study may spend.
    """

    store: SiteStore
    study: str
    privacy: Privacy

    def opened(self) -> Opened:
        """The account as it stands; one that is not open yet as it would be opened now."""
        due = due_delta(self.privacy, self.store.privacy.patients())
        known = self.store.privacy.account(self.study)
        if known is None:
            order = best_order(self.privacy.epsilon, due)
            return Opened(self.privacy.epsilon, due, order, now())
        return Opened(known.epsilon, min(known.delta, due), known.order, known.at)

    def room(self) -> float:
        """Nats at the account's order that each scope has in all."""
        account = self.opened()
        return room(account.epsilon, account.order, account.delta)

    def left(self, scope: Scope) -> float:
        """Nats at the account's order that a scope still has."""
        return self.room() - self.store.privacy.spent(self.study, scope)

    def epsilon(self, scope: Scope) -> float:
        """What a scope has spent, at the account's delta."""
        account = self.opened()
        return epsilon(self.store.privacy.spent(self.study, scope), account.order, account.delta)

    def reserve(self, key: StepKey, wanted: Sequence[Wanted]) -> list[Charge]:
        """The step's charges, committed; those of a step that died before are used again.

        Raises:
            OverBudget: a scope has not that much left, and nothing was charged.
        """
        with self.store.transaction():
            known = self.store.privacy.of_step(key)
            if known:
                return known
            account = self._open()
            for scope in SCOPES:
                asked = sum(
                    w.cost.rdp(account.order) for w in wanted if w.cost and w.scope == scope
                )
                if asked and asked > self.left(scope) + _ROUNDING * max(self.room(), 0.0):
                    raise OverBudget(f"the budget of epsilon {account.epsilon:g} is spent")
            for one in wanted:
                self.store.privacy.add(self.study, _charge(key, one, account.order))
            self.note()
        return self.store.privacy.of_step(key)

    def release(self, key: StepKey, digest: str) -> None:
        """Mark the step's charges with the reply they bought, within the caller's transaction."""
        self.store.privacy.release(key, digest)

    def charge_lost(self, scope: Scope, lost: float, words: str) -> None:
        """Charge what a copy of the database had forgotten, also beyond the budget."""
        with self.store.transaction():
            self._open()
            number = len(self.store.privacy.all(self.study))
            self.store.privacy.add(
                self.study,
                Charge(
                    scope, 0, "restored", 0, number, words, "restored", 0.0, 1.0, 1, lost, now()
                ),
            )
            self.note()

    def note(self) -> None:
        """Write the totals into the audit log, whose heads the server countersigns."""
        told = ", ".join(f"{s} {self.store.privacy.spent(self.study, s):.9g}" for s in SCOPES)
        words = f"privacy charged: {told} nats at order {self.opened().order:g}"
        note(self.store, "charged", study=self.study, words=words)

    def _open(self) -> Opened:
        account = self.opened()
        if self.store.privacy.account(self.study) is None:
            self.store.privacy.open(self.study, account)
        self.store.privacy.tighten(self.study, account.delta)
        return account


def due_delta(privacy: Privacy, patients: int) -> float:
    """The delta of a site with so many patients: at most 1 / (10 x patients).

    A power of ten, so that it tells of their number no more than its order of magnitude.
    """
    most: float = 10.0 ** -math.ceil(math.log10(10 * max(patients, 1)))
    return most if privacy.delta is None else min(privacy.delta, most)


def recomputed(charges: Sequence[Charge], order: float) -> dict[Scope, float]:
    """Nats by scope, from the parameters in an account's rows alone."""
    found = dict.fromkeys(SCOPES, 0.0)
    for charge in charges:
        found[charge.scope] += (
            charge.rdp if charge.mechanism == "restored" else _again(charge, order)
        )
    return found


def _again(charge: Charge, order: float) -> float:
    if charge.mechanism == "public":
        return 0.0
    mechanism: Mechanism = "dp-sgd-swap" if charge.mechanism == "dp-sgd-swap" else "dp-sgd"
    return Cost(mechanism, charge.noise, charge.share, charge.steps).rdp(order)


def _charge(key: StepKey, wanted: Wanted, order: float) -> Charge:
    place = (wanted.scope, key.cycle, key.step, key.round, key.sequence, wanted.what)
    if wanted.cost is None:
        return Charge(*place, "public", 0.0, 1.0, 1, 0.0, now())
    cost = wanted.cost
    numbers = (cost.mechanism, cost.noise, cost.share, cost.steps, cost.rdp(order))
    return Charge(*place, *numbers, now())
