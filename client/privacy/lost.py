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

_LOST = "privacy lost"  # how often this database was an old copy
_SETTLED = "privacy settled"  # of a study: for how many of those times it has paid
_WORDS = "what a restored copy of the database had forgotten"


def forgot(store: SiteStore) -> None:
    """Within a transaction: this database is an old copy, and every account must settle.

    Also one that is opened from now on: what is in the copy may be older than the study.
    """
    store.cases.set_fact(_LOST, str(int(store.cases.fact(_LOST, "0")) + 1))


def settle(account: PrivacyAccount, study: Study, key: StepKey) -> None:
    """Charge what may have been spent since the copy was made; nothing where it is none."""
    fact, times = f"{_SETTLED} {account.study}", account.store.cases.fact(_LOST, "0")
    if account.store.cases.fact(fact, "0") == times:
        return
    for scope, nats in lost(account, study, key).items():
        if nats > 0:
            account.charge_lost(scope, nats, _WORDS)
    with account.store.transaction():
        account.store.cases.set_fact(fact, times)


def lost(account: PrivacyAccount, study: Study, key: StepKey) -> dict[Scope, float]:
    """Nats by scope that the steps up to this one cost, less those that the account has.

    With noise that the study fixes a step's cost depends on grants that the copy has forgotten,
    too: all that is left is charged then.
    """
    assert study.privacy is not None  # noqa: S101 - there is an account
    rounds, cycles = study.training.rounds_per_cycle, planned_cycles(study.budget)
    known = account.store.privacy.all(account.study)
    had = {s: {(c.cycle, c.round) for c in known if c.step == s} for s in ("report", "train")}
    measured = {(c.cycle, c.round) for c in known if c.step == "evaluate"}
    past = key.cycle * rounds
    trained = past + (key.round + 1 if key.step == "train" else rounds * (key.step == "evaluate"))
    asked = [divmod(number, rounds) for number in range(trained)]
    missing = [one for one in asked if one > max(had["train"], default=(-1, 0))]
    room, share = account.room(), study.privacy.statistics
    spent = sum(c.rdp for c in known if c.step == "train")
    part = training_part(study.budget, rounds, missing) if missing else 0.0
    training = part * ((1 - share) * room - spent)
    if study.privacy.noise is not None and missing:
        training = account.left("training")
    reports = max(0, key.cycle + 1 - len(had["report"])) * share * room / cycles
    evaluations = max(0, key.cycle + 1 + (key.step == "evaluate") - len(measured))
    measuring = evaluations * room / (cycles + 1)
    return {"training": training + reports, "audit": measuring, "locked": measuring}
