"""Privacy accounts and their charges; what they mean is in `client/privacy/account.py`."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from protocol.records import StepKey

Scope: TypeAlias = Literal["training", "audit", "locked"]
"""Whose patients: a patient is in one of these three for good, so each is an account of its own."""

_CHARGE = (
    "scope, cycle, step, round, sequence, what, mechanism, noise, share, steps, rdp, at, released"
)


@dataclass(frozen=True, slots=True)
class Opened:
    """An account as it was opened.

    Attributes:
        epsilon: that it may spend, in each scope.
        delta: at which; the smallest that was ever due.
        order: of the Rényi divergence that its charges sum up.
        at: when, UTC, ISO 8601.
    """

    epsilon: float
    delta: float
    order: float
    at: str


@dataclass(frozen=True, slots=True)
class Charge:
    """One row of an account.

    Attributes:
        scope: whose patients' privacy was spent.
        cycle: of the step, as round and sequence.
        step: of the model plane, "progress", or "restored".
        what: in a few plain words.
        mechanism: "dp-sgd", "dp-sgd-swap", "gaussian", "public" (nothing in it depends on data),
            or "restored".
        noise: multiplier of the most that one patient changes, as `accounting.Cost`.
        share: of the patients in each step's sample.
        steps: how often.
        rdp: nats, at the account's order.
        at: when it was reserved, UTC, ISO 8601.
        released: digest of what left for it; "" while nothing has.
    """

    scope: Scope
    cycle: int
    step: str
    round: int
    sequence: int
    what: str
    mechanism: str
    noise: float
    share: float
    steps: int
    rdp: float
    at: str
    released: str = ""


@dataclass(frozen=True, slots=True)
class PrivacyShelf:
    """Reads and writes what was spent; nothing is ever taken back."""

    connection: sqlite3.Connection

    def account(self, study: str) -> Opened | None:
        """The study's account; None before its first charge."""
        row = self.connection.execute(
            "SELECT epsilon, delta, rdp_order, opened FROM privacy_accounts WHERE study = ?",
            (study,),
        ).fetchone()
        return Opened(*row) if row else None

    def open(self, study: str, opened: Opened) -> None:
        """Open a study's account, once."""
        self.connection.execute(
            "INSERT INTO privacy_accounts VALUES (?, ?, ?, ?, ?)",
            (study, opened.epsilon, opened.delta, opened.order, opened.at),
        )

    def tighten(self, study: str, delta: float) -> None:
        """Take a smaller delta from now on: patients have come."""
        self.connection.execute(
            "UPDATE privacy_accounts SET delta = min(delta, ?) WHERE study = ?", (delta, study)
        )

    def add(self, study: str, charge: Charge) -> None:
        """Append a charge."""
        row = [getattr(charge, name) for name in _CHARGE.split(", ")]
        marks = ", ".join("?" * (len(row) + 1))
        self.connection.execute(
            f"INSERT INTO privacy_charges (study, {_CHARGE}) VALUES ({marks})",  # noqa: S608  # ours
            [study, *row],
        )

    def of_step(self, key: StepKey) -> list[Charge]:
        """The charges of one step, in the order they were made."""
        return self._charges(
            "study = ? AND cycle = ? AND step = ? AND round = ? AND sequence = ?",
            (key.study, key.cycle, key.step, key.round, key.sequence),
        )

    def all(self, study: str) -> list[Charge]:
        """Every charge of a study, in the order they were made."""
        return self._charges("study = ?", (study,))

    def spent(self, study: str, scope: Scope) -> float:
        """Nats at the account's order that were charged in a scope."""
        row = self.connection.execute(
            "SELECT coalesce(sum(rdp), 0) FROM privacy_charges WHERE study = ? AND scope = ?",
            (study, scope),
        ).fetchone()
        return float(row[0])

    def release(self, key: StepKey, digest: str) -> None:
        """Write down that a step's charges have bought a reply, by its digest."""
        self.connection.execute(
            "UPDATE privacy_charges SET released = ? WHERE released = '' AND study = ? "
            "AND cycle = ? AND step = ? AND round = ? AND sequence = ?",
            (digest, key.study, key.cycle, key.step, key.round, key.sequence),
        )

    def studies(self) -> list[str]:
        """Identities of the studies that have an account, in order."""
        rows = self.connection.execute("SELECT study FROM privacy_accounts ORDER BY study")
        return [str(row[0]) for row in rows]

    def patients(self) -> int:
        """How many patients the site has, of any split."""
        row = self.connection.execute("SELECT count(DISTINCT patient) FROM cases").fetchone()
        return int(row[0])

    def _charges(self, clause: str, arguments: Sequence[object]) -> list[Charge]:
        rows = self.connection.execute(
            f"SELECT {_CHARGE} FROM privacy_charges WHERE {clause} ORDER BY id",  # noqa: S608  # ours
            arguments,
        )
        return [Charge(*row) for row in rows]
