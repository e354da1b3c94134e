"""What a private study's steps tell: noisy counts of patients, and what can be made of those.

Every count is of patients, one random case of each, so one patient changes it by one; the noise is
discrete Gaussian. Totals under 10 are not told.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from client.cost import capacity
from client.privacy.account import OverBudget
from client.privacy.chance import chance, discrete_gaussian
from client.privacy.patients import sampled
from client.privacy.spending import AUDIT, LOCKED, MASS, POOL, THRESHOLD
from client.scored_pool import ScoredPool
from client.site import Site
from client.store.privacy_shelf import Charge
from protocol.records import UNCERTAINTY_BINS, Evaluation, Indices, SiteReport, StepKey
from protocol.seeds import Purpose, generator
from protocol.study import Study
from strategies.metrics.measure import measure

SMALLEST = 10
"""A total of fewer patients is not told."""

_CONFIDENCE_BINS = 4
_LEVELS = 64  # of a threshold


def private_report(
    site: Site, study: Study, scored: ScoredPool, uncertain: NDArray[np.float64]
) -> SiteReport:
    """The report of a private study: a noisy number of patients, and what follows from it.

    Args:
        site: opened.
        study: a private one, its step charged.
        scored: the pool.
        uncertain: (n,) uncertainty of its cases, 0 to 1.
    """
    key = StepKey(scored.study, scored.cycle, "report")
    charges = {c.what: c for c in site.store.privacy.of_step(key)}
    source = chance(site, study, key, Purpose.PRIVATE_REPORT)
    rows = sampled(site.store.cases.patients(scored.ids), 1.0, source)
    pool = max(0, len(rows) + discrete_gaussian(_charged(charges, POOL).noise, source))
    pool = pool if pool >= SMALLEST else 0
    uncertainty = (0,) * UNCERTAINTY_BINS
    if MASS in charges:
        eighths = int(np.rint(uncertain[rows] * UNCERTAINTY_BINS).sum())
        eighths += discrete_gaussian(charges[MASS].noise * UNCERTAINTY_BINS, source)
        uncertainty = _histogram(pool, eighths / UNCERTAINTY_BINS)
    share = study.audit.patients
    audit_left = round(pool * share / (1 - share))
    classes = len(study.task.classes)
    return SiteReport(
        site=site.name,
        pool=pool,
        labeled=0,
        audit_left=audit_left,
        capacity=capacity(study, pool + audit_left, study.budget.seconds),
        seconds_per_reading=study.budget.seconds,
        uncertainty=uncertainty,
        predicted=(0,) * classes,
        labels=(0,) * classes,
        kept=((0,) * classes,) * classes,
    )


def private_threshold(
    site: Site, study: Study, scored: ScoredPool, uncertain: NDArray[np.float64], share: float
) -> float:
    """An uncertainty that about as many patients reach as the strategy wants, told with noise.

    The exponential mechanism on ranks (Smith, STOC 2011), for one random case of each patient: a
    patient moves a rank by at most one, and with weights exp(rank off / sigma) it costs what
    Gaussian noise of sigma does (Cesar and Rogers, ALT 2021: an eighth of epsilon squared, with
    epsilon 2 / sigma).

    Args:
        site: opened.
        study: a private one, its report step charged.
        scored: the pool.
        uncertain: (n,) of its cases, 0 to 1.
        share: of the patients that shall reach it.
    """
    key = StepKey(scored.study, scored.cycle, "report")
    charges = {c.what: c for c in site.store.privacy.of_step(key)}
    sigma = _charged(charges, THRESHOLD).noise
    source = chance(site, study, key, Purpose.PRIVATE_THRESHOLD)
    rows = sampled(site.store.cases.patients(scored.ids), 1.0, source)
    levels = np.arange(_LEVELS) / _LEVELS
    reach = (uncertain[rows] >= levels[:, None]).sum(axis=1)
    off = np.abs(reach - share * len(rows))
    weights = np.exp(-(off - off.min()) / sigma)
    drawn = source.uniform(1)[0] * weights.sum()
    return float(levels[min(int(np.searchsorted(weights.cumsum(), drawn)), _LEVELS - 1)])


def private_evaluation(
    site: Site,
    study: Study,
    key: StepKey,
    what: str,
    cases: tuple[NDArray[np.float64], NDArray[np.uint8], Indices],
) -> Evaluation | None:
    """The measure of as many made-up patients as the noisy counts say; None under 10 of them.

    Counted is by true class, predicted class and confidence in four bins. Whatever is made of the
    counts spends nothing more.

    Args:
        site: opened.
        study: a private one, its step charged.
        key: of the step.
        what: `AUDIT` or `LOCKED`.
        cases: (n, classes) probabilities, (n, classes) answers, (n,) patients.
    """
    probs, targets, patients = cases
    charges = {c.what: c for c in site.store.privacy.of_step(key)}
    noise = _charged(charges, what).noise
    purpose = Purpose.PRIVATE_AUDIT if what == AUDIT else Purpose.PRIVATE_LOCKED
    source = chance(site, study, key, purpose)
    rows = sampled(patients, 1.0, source)
    table = _table(probs[rows], targets[rows])
    noisy = [[c + discrete_gaussian(noise, source) for c in row] for row in table.tolist()]
    counts = [_onto(row) for row in noisy]
    total = sum(map(sum, counts))
    if total < SMALLEST:
        return None
    made_up, answers = _made_up(counts, len(study.task.classes))
    rng = generator(study.seed, site.number, key.cycle, key.round, Purpose.EVALUATE)
    everyone = np.arange(total)
    return measure(made_up, answers, everyone, study.task, clustered=True, unsettled=0, rng=rng)


def _charged(charges: dict[str, Charge], what: str) -> Charge:
    if what not in charges:
        raise OverBudget(f"{what}: nothing was charged for it")
    return charges[what]


def _histogram(pool: int, mass: float) -> tuple[int, ...]:
    """As many cases in two neighbouring bins as have about that mass."""
    counts = [0] * UNCERTAINTY_BINS
    if pool:
        place = min(max(mass / pool * UNCERTAINTY_BINS - 0.5, 0.0), UNCERTAINTY_BINS - 1.0)
        low = min(int(place), UNCERTAINTY_BINS - 2)
        high = round(pool * (place - low))
        counts[low], counts[low + 1] = pool - high, high
    return tuple(counts)


def _table(probs: NDArray[np.float64], targets: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(classes, classes * bins) patients by true class, then predicted class and confidence."""
    classes = targets.shape[1]
    table = np.zeros((classes, classes * _CONFIDENCE_BINS), dtype=np.int64)
    if len(probs):
        least = 1 / classes
        place = (probs.max(axis=1) - least) / (1 - least) * _CONFIDENCE_BINS
        bins = np.clip(place.astype(np.int64), 0, _CONFIDENCE_BINS - 1)
        columns = probs.argmax(axis=1) * _CONFIDENCE_BINS + bins
        np.add.at(table, (targets.argmax(axis=1), columns), 1)
    return table


def _onto(noisy: Sequence[int]) -> list[int]:
    """The nearest counts of at least 0 with the same sum; all 0 where that is negative.

    Cutting each count at 0 would make more patients of the noise.
    """
    total = sum(noisy)
    if total <= 0:
        return [0] * len(noisy)
    falling = sorted(noisy, reverse=True)
    sums = np.cumsum(falling) - total
    taken = max(k for k in range(len(noisy)) if falling[k] * (k + 1) > sums[k])
    level = sums[taken] / (taken + 1)
    wanted = [max(0.0, value - level) for value in noisy]
    counts = [math.floor(value) for value in wanted]
    order = sorted(range(len(noisy)), key=lambda i: counts[i] - wanted[i])
    for i in order[: total - sum(counts)]:
        counts[i] += 1
    return counts


def _made_up(
    counts: Sequence[Sequence[int]], classes: int
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Probabilities and answers of patients in the middle of their cells."""
    probs, answers = [], []
    least = 1 / classes
    for true, row in enumerate(counts):
        for column, count in enumerate(row):
            predicted, place = divmod(column, _CONFIDENCE_BINS)
            sure = least + (1 - least) * (place + 0.5) / _CONFIDENCE_BINS
            one = np.full(classes, (1 - sure) / (classes - 1))
            one[predicted] = sure
            probs += [one] * count
            answers += [np.eye(classes, dtype=np.uint8)[true]] * count
    return np.array(probs), np.array(answers)


__all__ = [
    "AUDIT",
    "LOCKED",
    "SMALLEST",
    "private_evaluation",
    "private_report",
    "private_threshold",
]
