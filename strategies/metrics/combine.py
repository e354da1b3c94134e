"""The study's numbers from its sites' evaluations: pooled, macro, worst site, each site's own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from protocol.measures import FINE_BINS
from strategies.metrics.bounds import bounds
from strategies.metrics.intervals import (
    Interval,
    Value,
    delta_variances,
    excess,
    interval,
    largest,
    macro,
    samples,
    worst,
)
from strategies.metrics.ranks import pooled_ranks
from strategies.metrics.sums import Float, Layout, layout, square
from strategies.metrics.table import METRICS
from strategies.metrics.totals import estimable, from_sums
from strategies.pool import NotFinite

if TYPE_CHECKING:
    from protocol.records import Evaluation
    from protocol.sections import Task

PARTS = ("pooled", "macro", "worst")


@dataclass(frozen=True, slots=True)
class Results:
    """What a study measured of one model, metrics by name of `METRICS`.

    Attributes:
        cases: labeled cases measured, over all sites.
        patients: distinct patients at each site, summed.
        clustered: every site names its patients; otherwise intervals are image-level.
        unsettled: cases left out since readers were unsure or could not read them.
        pooled: all sites' cases as one sample; AUROC, AUPRC and sensitivity from score bins.
        macro: mean over the sites where the metric is estimable.
        worst: among the sites where the metric is estimable.
        sites: site to its own metrics, from exact scores.
        bounds: decisions over all sites, with the unsettled cases all wrong and all right; see
            `strategies/metrics/bounds.py`.
    """

    cases: int
    patients: int
    clustered: bool
    unsettled: int
    pooled: Mapping[str, Interval]
    macro: Mapping[str, Interval]
    worst: Mapping[str, Interval]
    sites: Mapping[str, Mapping[str, Interval]]
    bounds: Mapping[str, Interval] = field(default_factory=dict)


def combine(evaluations: Mapping[str, Evaluation], task: Task) -> Results:
    """All numbers of one evaluation with 95 % intervals; NaN where not estimable.

    Args:
        evaluations: site to what it measured; sites with no case change nothing.
        task: the study's.
    Raises:
        NotFinite: sums or a covariance hold NaN or infinity.
        ValueError: sums or a covariance do not have the task's shape.
    """
    where = layout(task)
    for evaluation in evaluations.values():
        _check(evaluation, where)
    parts = [evaluations[site] for site in sorted(evaluations)]  # the same sum in any order
    by_site = {
        site: _values(e.sums, square(e.covariance), (e.estimates, e.variances), [e], task)
        for site, e in sorted(evaluations.items())
    }
    among = {
        name: [v[name] for v in by_site.values() if math.isfinite(v[name].variance)]
        for name in METRICS
    }
    return Results(
        cases=sum(e.cases for e in parts),
        patients=sum(e.patients for e in parts),
        clustered=all(e.clustered for e in parts),
        unsettled=sum(e.unsettled for e in parts),
        pooled=_shown(_pooled(parts, where, task)),
        macro={name: macro(values) for name, values in among.items()},
        worst={name: worst(v, METRICS[name].higher_is_better) for name, v in among.items()},
        sites={site: _shown(values) for site, values in by_site.items()},
        bounds=_bounds(parts, where, task),
    )


def _bounds(parts: Sequence[Evaluation], where: Layout, task: Task) -> dict[str, Interval]:
    sums = np.sum([p.sums for p in parts], axis=0) if parts else np.zeros(where.size)
    return bounds(sums, sum(p.unsettled for p in parts), task)


def _shown(values: Mapping[str, Value]) -> dict[str, Interval]:
    return {name: interval(value) for name, value in values.items()}


def as_json(results: Results) -> dict[str, Any]:
    """The results as plain numbers and strings; not estimable (NaN) becomes null."""
    return {
        "cases": results.cases,
        "patients": results.patients,
        "clustered": results.clustered,
        "unsettled": results.unsettled,
        **{part: _plain(getattr(results, part)) for part in PARTS},
        "sites": {site: _plain(metrics) for site, metrics in results.sites.items()},
        "bounds": _plain(results.bounds),
    }


def from_json(plain: object) -> Results:
    """The results that `as_json` was given.

    Raises:
        ValueError: a part is missing, unknown or of another kind, or a metric is no
            [estimate, low, high].
    """
    expected = {f.name for f in fields(Results)}
    parts = _named("results", plain)
    if set(parts) | {"bounds"} != expected:  # records of before had none
        raise ValueError(f"results hold {sorted(parts)}; accepted are {sorted(expected)}")
    counts = {name: parts[name] for name in ("cases", "patients", "unsettled")}
    if not all(type(count) is int and count >= 0 for count in counts.values()):
        raise ValueError(f"results count {counts}; accepted are whole numbers from 0")
    if type(parts["clustered"]) is not bool:
        raise ValueError(f"results say clustered = {parts['clustered']!r}; accepted: true or false")
    return Results(
        cases=counts["cases"],
        patients=counts["patients"],
        clustered=parts["clustered"],
        unsettled=counts["unsettled"],
        **{part: _intervals(part, parts[part]) for part in PARTS},
        sites={s: _intervals(s, metrics) for s, metrics in _named("sites", parts["sites"]).items()},
        bounds=_intervals("bounds", parts.get("bounds", {})),
    )


def _plain(metrics: Mapping[str, Interval]) -> dict[str, list[float | None]]:
    return {
        name: [None if math.isnan(x) else x for x in (i.estimate, i.low, i.high)]
        for name, i in metrics.items()
    }


def _named(what: str, plain: object) -> Mapping[str, Any]:
    if not isinstance(plain, Mapping):
        raise ValueError(f"{what}: {type(plain).__name__} where values by name are accepted")
    return plain


def _intervals(part: str, plain: object) -> dict[str, Interval]:
    read = {}
    for name, numbers in _named(part, plain).items():
        if not isinstance(numbers, list) or list(map(_is_number, numbers)) != [True] * 3:
            raise ValueError(f"{part}: {name} is {numbers!r}; accepted is [estimate, low, high]")
        read[name] = Interval(*(math.nan if x is None else x for x in numbers))
    return read


def _is_number(x: object) -> bool:
    if isinstance(x, bool) or not isinstance(x, int | float):
        return x is None
    return abs(x) < math.inf


def _values(
    sums: Float,
    covariance: Float,
    metrics: tuple[Mapping[str, float], Mapping[str, float]],
    parts: Sequence[Evaluation],
    task: Task,
) -> dict[str, Value]:
    """Metrics with what their intervals need.

    Args:
        sums: (m,), of the parts together.
        covariance: (m, m), of these sums.
        metrics: estimates and variances by name.
        parts: the evaluations that they are of.
        task: the study's.
    """
    where = layout(task)
    sample = samples(sums, where, parts)
    more = excess(sums, covariance, where)
    estimates, variances = metrics
    return {
        name: Value(estimates[name], variances[name], largest(name, task), sample[name], more[name])
        for name in METRICS
    }


def _pooled(parts: Sequence[Evaluation], where: Layout, task: Task) -> dict[str, Value]:
    """The metrics of all sites' cases together, patients drawn anew within each site."""
    sums = np.zeros(where.size)
    covariance = np.zeros((where.size, where.size))
    for part in parts:
        sums += part.sums
        # the bootstrap draws from the site's patients, not from all: too little by (P - 1) / P
        covariance += square(part.covariance) * (part.patients / max(part.patients - 1, 1))
    patients = sum(p.patients for p in parts)
    seen = sum(p.patients for p in parts if p.patients > 1)
    if seen:  # one patient alone shows no spread; it is taken to vary as the others do
        covariance *= patients / seen
    allowed = estimable(sums, where)
    estimates = variances = dict.fromkeys(METRICS, math.nan)
    if any(allowed.values()):
        metrics = from_sums(sums, where, task) | pooled_ranks(parts, task)
        estimates = {n: float(metrics[n]) if allowed[n] else math.nan for n in METRICS}
    if any(allowed.values()) and seen:
        variances = delta_variances(sums, covariance, where, task)
    return _values(sums, covariance, (estimates, variances), parts, task)


def _check(evaluation: Evaluation, where: Layout) -> None:
    m = where.size
    upper = (m * (m + 1) // 2,)
    if evaluation.sums.shape != (m,) or evaluation.covariance.shape != upper:
        raise ValueError(
            f"sums have shape {evaluation.sums.shape}, their covariance "
            f"{evaluation.covariance.shape}; accepted for this task are ({m},) and {upper}"
        )
    wanted = (len(where.scored), 2, FINE_BINS)
    if evaluation.fine.shape != wanted:
        raise ValueError(f"fine counts have shape {evaluation.fine.shape}; accepted is {wanted}")
    parts = ("sums", evaluation.sums), ("covariance", evaluation.covariance)
    for name, array in (*parts, ("fine counts", evaluation.fine)):
        bad = int(array.size - np.count_nonzero(np.isfinite(array)))
        if bad:
            raise NotFinite(f"{name} hold {bad} values that are not finite; accepted are none")
    for kind, named in (("estimates", evaluation.estimates), ("variances", evaluation.variances)):
        if set(named) != set(METRICS):
            raise ValueError(f"{kind} are {sorted(named)}; accepted are {sorted(METRICS)}")
