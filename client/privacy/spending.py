"""What each step of a private study costs: from public numbers alone, before any data is read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from client.privacy.account import OverBudget, PrivacyAccount, Wanted
from client.privacy.accounting import Cost, Mechanism, noise_for
from client.privacy.lost import settle
from client.site import Site
from client.store.privacy_shelf import Charge
from client.store.step_shelf import StepRefused
from client.store.store import SiteStore
from protocol.privacy import Privacy, planned_cycles, training_part
from protocol.records import StepKey
from protocol.steps import Code
from protocol.study import Study
from strategies.private import READS, composes, reads_threshold

POOL = "how many patients the pool has"
THRESHOLD = "the uncertainty from which on cases are drawn"
MASS = "the pool's uncertainty, summed up"
TRAINING = "training"
AUDIT = "answers and scores of the audit cases, counted"
LOCKED = "answers and scores of the locked cases, counted"


def reserve(site: Site, study: Study, key: StepKey) -> list[Charge]:
    """Charge a step before it looks at anything; nothing where the study is not private.

    Raises:
        OverBudget: the study may not spend that much.
        StepRefused: the grants are for fewer cases than the patients that the site asks for.
    """
    account = account_of(site.store, study)
    if account is None or key.step not in _WANTED:
        return []
    if key.step == "train" and public_cases(site.store, study, key.cycle) < site.least_patients:
        raise StepRefused(Code.TOO_FEW_PATIENTS, "grants for too few patients")
    settle(account, study, key)
    known = site.store.privacy.of_step(key)
    return known or account.reserve(key, _WANTED[key.step](account, study, key))


def account_of(store: SiteStore, study: Study) -> PrivacyAccount | None:
    """The study's account here; None where the study is not private."""
    if study.privacy is None:
        return None
    return PrivacyAccount(store, study.identity, study.privacy)


def public_cases(store: SiteStore, study: Study, cycle: int) -> int:
    """Training cases that the grants so far pay for, which the server knows as well as the site.

    How many there are in truth stays here: it stands in no update, and in no divisor.
    """
    granted: float = sum(store.readings.granted(study.identity, c) for c in range(cycle + 1))
    if study.budget.unit == "minutes":
        granted *= 60 / study.budget.seconds
    return math.floor(granted * (1 - study.audit.grant) / study.reading.readings_per_case)


def _report(account: PrivacyAccount, study: Study, key: StepKey) -> list[Wanted]:
    """Each cycle has an even part of what is for statistics."""
    told = [POOL]
    told += [MASS] if "uncertainty" in READS[study.budget.policy] else []
    told += [THRESHOLD] if reads_threshold(study, key.cycle) else []
    part = _privacy(study).statistics * account.room() / planned_cycles(study.budget) / len(told)
    cost = Cost("gaussian", _plain_noise(account, part))
    return [Wanted("training", what, cost) for what in told]


def _select(account: PrivacyAccount, study: Study, key: StepKey) -> list[Wanted]:
    return [Wanted("training", "that the grant was taken")]


def _close(account: PrivacyAccount, study: Study, key: StepKey) -> list[Wanted]:
    return [Wanted("training", "that the grant is done")]


def _train(account: PrivacyAccount, study: Study, key: StepKey) -> list[Wanted]:
    """Each round has its part of what is left for training, by the labels of its cycle."""
    from client.learning.train import count_steps  # brings torch, as the step does

    cases = public_cases(account.store, study, key.cycle)
    if cases <= 0:
        return [Wanted("training", "that no grant was made")]
    share = min(1.0, study.training.batch_size / cases)
    steps = count_steps(study.training, cases)
    noise = _privacy(study).noise or _training_noise(account, study, key, share, steps)
    return [Wanted("training", TRAINING, Cost(_mechanism(study), noise, share, steps))]


def _mechanism(study: Study) -> Mechanism:
    """What a patient more does to the cases trained on, where the choice is covered, too."""
    return "dp-sgd-swap" if composes(study) else "dp-sgd"


def _training_noise(
    account: PrivacyAccount, study: Study, key: StepKey, share: float, steps: int
) -> float:
    charges = account.store.privacy.all(study.identity)
    spent = sum(c.rdp for c in charges if c.scope == "training" and c.step == "train")
    mine = (1 - _privacy(study).statistics) * account.room() - spent
    each = study.training.rounds_per_cycle
    part = training_part(study.budget, each, [(key.cycle, key.round)])
    target = min(mine, account.left("training")) * part
    try:
        return noise_for(target, share, steps, account.opened().order, _mechanism(study))
    except ValueError:
        raise OverBudget("nothing is left for training") from None


def _evaluate(account: PrivacyAccount, study: Study, key: StepKey) -> list[Wanted]:
    """Audit and locked patients train nothing: each of their scopes is for evaluation alone."""
    room = account.room() / (planned_cycles(study.budget) + 1)
    cost = Cost("gaussian", _plain_noise(account, room))
    return [Wanted("audit", AUDIT, cost), Wanted("locked", LOCKED, cost)]


def _plain_noise(account: PrivacyAccount, part: float) -> float:
    """The noise multiplier whose cost is that part, in nats, rounded up to a thousandth."""
    if part <= 0:
        raise OverBudget("epsilon leaves no room at this delta")
    return math.ceil(1000 * math.sqrt(account.opened().order / (2 * part))) / 1000


def _privacy(study: Study) -> Privacy:
    assert study.privacy is not None  # noqa: S101 - there is an account
    return study.privacy


_WANTED: Mapping[str, Callable[[PrivacyAccount, Study, StepKey], list[Wanted]]] = {
    "report": _report,
    "select": _select,
    "close": _close,
    "train": _train,
    "evaluate": _evaluate,
}
