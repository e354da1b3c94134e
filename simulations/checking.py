"""`wardround study check`: what a study is, and how sure its numbers can be."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from client.cases.cases import Cases
from client.cases.open import open_cases
from client.privacy.words import plan_words
from protocol.records import Indices
from protocol.study import Study, load
from simulations.hospitals import rows_of, site_key
from strategies.chosen import check_named, check_sites, decisions
from strategies.metrics.table import METRICS
from strategies.metrics.widths import expected_half_width
from strategies.stopping.mute import mute_in


@dataclass(frozen=True, slots=True)
class Expected:
    """What one site, or all together, will be measured on.

    Attributes:
        pool: cases that may be asked for.
        audit_set: cases of audit patients.
        audit: those of them that the budget will read, by class in turn and in all, if grants are
            uniform.
        locked: the locked test set, likewise.
        audit_widths: half-width of each metric's 95 % interval on `audit`; NaN where not
            estimable.
        locked_widths: likewise on the locked test set.
    """

    pool: int
    audit_set: int
    audit: tuple[int, ...]
    locked: tuple[int, ...]
    audit_widths: Mapping[str, float]
    locked_widths: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Checked:
    """A valid study and, where data were given, what to expect by site; "all sites" comes last."""

    study: Study
    expected: Mapping[str, Expected]

    def document(self) -> dict[str, Any]:
        """For programs; widths that are not estimable are null."""
        return {
            "format": 1,
            "study": self.study.name,
            "identity": self.study.identity,
            "expected": {
                name: {
                    "pool": e.pool,
                    "audit_set": e.audit_set,
                    "audit": _named(e.audit, self.study),
                    "locked": _named(e.locked, self.study),
                    "audit_half_widths": _nulls(e.audit_widths),
                    "locked_half_widths": _nulls(e.locked_widths),
                }
                for name, e in self.expected.items()
            },
        }

    def text(self) -> str:
        """For people."""
        study = self.study
        lines = [
            f"{study.name}: valid, identity {study.identity[:16]}",
            f"  {len(study.task.classes)} classes, network {study.network.name}, "
            f"{study.training.rounds_per_cycle} rounds a cycle, query {study.query.strategy}, "
            f"{study.budget.total} {study.budget.unit} by {study.budget.policy}",
        ]
        lines += [f"  {words}" for words in plan_words(study)]
        if why := mute_in(study):
            lines.append(f"  stopping.rule {study.stopping.rule} will not advise: {why}")
        if self.expected:
            lines.append("expected half-widths of the 95 % intervals when the budget is spent:")
        for name, e in self.expected.items():
            lines.append(f"  {name}: pool {e.pool}")
            read = f"{_counts(e.audit, study)} of {e.audit_set} read"
            lines.append(f"    audit  {read}: {_widths(e.audit_widths)}")
            lines.append(f"    locked {_counts(e.locked, study)}: {_widths(e.locked_widths)}")
        return "\n".join(lines)


def check_study(file: Path, overrides: Sequence[str], data: str | None) -> Checked:
    """The study in a file, checked with all its tables, and what to expect of its data.

    Raises:
        StudyError, CasesError, SplitError: what is refused, in one sentence.
    """
    study = load(file, overrides)
    chosen = decisions(study, allow_import=True)
    if study.privacy is not None:
        from client.privacy.per_patient import check_network  # brings torch

        check_network(study)
    if data is None:
        check_sites(study, chosen, study.simulation.sites)
        return Checked(study, {})
    cases = open_cases(data, study.task, study.seed)
    if cases.targets is None:
        raise ValueError(f"{data}: no labels; expected widths need one for every case")
    rows = rows_of(study, cases)
    check_sites(study, chosen, len(rows))
    check_named(chosen.policy, rows)
    expected = {
        name: _expected(study, cases, own, (number, len(rows)))
        for number, (name, own) in enumerate(rows.items())
    }
    parts = list(expected.values())
    together = _of_counts(
        study,
        (sum(e.pool for e in parts), sum(e.audit_set for e in parts)),
        _added([e.audit for e in parts]),
        _added([e.locked for e in parts]),
    )
    return Checked(study, {**expected, "all sites": together})


def _expected(study: Study, cases: Cases, own: Indices, place: tuple[int, int]) -> Expected:
    number, sites = place
    key = site_key(study, number)
    pool = [i for i in own if cases.splits[i] == "pool"]
    audit = [i for i in pool if key.number(cases.patients[i]) < study.audit.patients]
    locked = [i for i in own if cases.splits[i] == "test"]
    return _of_counts(
        study,
        (len(pool) - len(audit), len(audit)),
        _will_be_read(study, _by_class(cases, audit), sites),
        _by_class(cases, locked),
    )


def _of_counts(
    study: Study, sizes: tuple[int, int], audit: tuple[int, ...], locked: tuple[int, ...]
) -> Expected:
    pool, audit_set = sizes
    widths = _half_widths(study, audit), _half_widths(study, locked)
    return Expected(pool, audit_set, audit, locked, *widths)


def _will_be_read(study: Study, audit: tuple[int, ...], sites: int) -> tuple[int, ...]:
    """The audit cases that a site's even part of the budget pays, in the set's proportions."""
    readings: float = study.budget.total
    if study.budget.unit == "minutes":
        readings *= 60 / study.budget.seconds
    cases = round(study.audit.grant * readings / (sites * study.reading.readings_per_case))
    share = min(1.0, cases / audit[-1]) if audit[-1] else 0.0
    return tuple(round(share * count) for count in audit)


def _half_widths(study: Study, counts: tuple[int, ...]) -> Mapping[str, float]:
    """Of the positive class in two classes; else of the rarest class against the rest."""
    classes = len(study.task.classes)
    cases = counts[-1]
    positives = counts[classes - 1] if classes == 2 else min(counts[:classes])
    return expected_half_width(positives, cases - positives, specificity=study.task.specificity)


def _by_class(cases: Cases, rows: Sequence[int]) -> tuple[int, ...]:
    """Cases of each class, then all of them."""
    assert cases.targets is not None  # noqa: S101 - check_study has looked
    return (*(int(v) for v in cases.targets[list(rows)].sum(axis=0)), len(rows))


def _added(parts: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(sum(column) for column in zip(*parts, strict=True))


def _named(counts: tuple[int, ...], study: Study) -> dict[str, int]:
    """Cases by class name, and all of them under "cases"."""
    return dict(zip((*study.task.names, "cases"), counts, strict=True))


def _counts(counts: tuple[int, ...], study: Study) -> str:
    named = zip(study.task.names, counts, strict=False)
    return f"{counts[-1]} cases ({', '.join(f'{n} {name}' for name, n in named)})"


def _widths(widths: Mapping[str, float]) -> str:
    told = [f"{METRICS[m].label} ±{w:.3f}" for m, w in widths.items() if math.isfinite(w)]
    return ", ".join(told) or "nothing is estimable"


def _nulls(widths: Mapping[str, float]) -> dict[str, float | None]:
    return {m: w if math.isfinite(w) else None for m, w in widths.items()}
