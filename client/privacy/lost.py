"""What a copy of the database has forgotten: nothing leaves until it is charged again.

The server's countersigned heads show that a database is an old copy (`Errands.compare`). Which
steps were paid for since it was made is not in it; but the server asks steps in order, so every
step before the one it asks now, and that one, may have been answered already. What those cost is
public: their parts of what the copy still had.
"""

from __future__ import annotations

from client.privacy.account import PrivacyAccount
from client.store.privacy_shelf import Scope
from client.store.store import SiteStore
from protocol.privacy import planned_cycles, training_part
from protocol.records import StepKey
from protocol.study import Study

_FACT = "privacy lost"
_WORDS = "what a restored copy of the database had forgotten"


def forgot(store: SiteStore) -> None:
    """Within a transaction: this database is an old copy, and its accounts must settle."""
    for study in store.privacy.studies():
        store.cases.set_fact(f"{_FACT} {study}", "unsettled")


def settle(account: PrivacyAccount, study: Study, key: StepKey) -> None:
    """Charge what may have been spent since the copy was made; nothing where it is none."""
    fact = f"{_FACT} {account.study}"
    if account.store.cases.fact(fact) != "unsettled":
        return
    for scope, nats in lost(account, study, key).items():
        if nats > 0:
            account.charge_lost(scope, nats, _WORDS)
    with account.store.transaction():
        account.store.cases.set_fact(fact, "settled")


def lost(account: PrivacyAccount, study: Study, key: StepKey) -> dict[Scope, float]:
    """Nats by scope that the steps up to this one cost, less those that the account has.

    With noise that the study fixes a step's cost depends on grants that the copy has forgotten,
    too: all that is left is charged then.
    """
    assert study.privacy is not None  # noqa: S101 - there is an account
    rounds, cycles = study.training.rounds_per_cycle, planned_cycles(study)
    known = account.store.privacy.all(account.study)
    had = {s: {(c.cycle, c.round) for c in known if c.step == s} for s in ("report", "train")}
    measured = {(c.cycle, c.round) for c in known if c.step == "evaluate"}
    past = key.cycle * rounds
    trained = past + (key.round + 1 if key.step == "train" else rounds * (key.step == "evaluate"))
    asked = [divmod(number, rounds) for number in range(trained)]
    missing = [one for one in asked if one > max(had["train"], default=(-1, 0))]
    room, share = account.room(), study.privacy.statistics
    spent = sum(c.rdp for c in known if c.step == "train")
    training = training_part(study, missing) * ((1 - share) * room - spent) if missing else 0.0
    if study.privacy.noise is not None and missing:
        training = account.left("training")
    reports = max(0, key.cycle + 1 - len(had["report"])) * share * room / cycles
    evaluations = max(0, key.cycle + 1 + (key.step == "evaluate") - len(measured))
    measuring = evaluations * room / (cycles + 1)
    return {"training": training + reports, "audit": measuring, "locked": measuring}
