"""What attacks did: every attacked arm beside the same arm without the attack, seed by seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from statistics import fmean

from simulations.attacks import ATTACKS
from simulations.results import words
from simulations.results.comparison import Comparison
from simulations.results.page import Table
from simulations.results.records import Run
from strategies.metrics.table import METRICS


def attacked(comparison: Comparison) -> Table | None:
    """A row for each attacked arm, means over the seeds that both arms have; None without one."""
    rows = tuple(
        row
        for arm in comparison.runs.arms
        if "~" in arm and (row := _row(comparison, arm)) is not None
    )
    if not rows:
        return None
    label = METRICS[comparison.choice.metric].label
    head = ("arm", "what one site does", "seeds", f"{label} at the end", "worst site",
            "mark believed", "grants")  # fmt: skip
    return Table(head, rows)


def _row(comparison: Comparison, arm: str) -> tuple[str, ...] | None:
    clean = {run.seed: run for run in comparison.runs.of(arm.partition("~")[0])}
    pairs = [(clean[run.seed], run) for run in comparison.runs.of(arm) if run.seed in clean]
    if not pairs:
        return None
    honest, evil = [h for h, _ in pairs], [e for _, e in pairs]
    metric = comparison.choice.metric

    def change(of: Callable[[Run], float | None]) -> str:
        return f"{words.number(_mean(map(of, honest)))} → {words.number(_mean(map(of, evil)))}"

    grants = _mean(_grants(h, e) for h, e in pairs)
    return (
        arm,
        ATTACKS[evil[0].attack].words,
        str(len(pairs)),
        change(lambda run: _end(run, metric, worst=False)),
        change(lambda run: _end(run, metric, worst=True)),
        change(lambda run: run.backdoor),
        "–" if grants is None else f"x {words.number(grants, 2)}",
    )


def _end(run: Run, metric: str, *, worst: bool) -> float | None:
    measured = run.evaluations[-1].metrics.locked or run.evaluations[-1].metrics.audit
    if measured is None:
        return None
    found = (measured.worst if worst else measured.pooled).get(metric)
    return None if found is None or found.estimate != found.estimate else found.estimate


def _grants(honest: Run, evil: Run) -> float | None:
    """What the attacker was granted in all, over what it was granted as an honest site."""
    before = sum(c.granted.get(evil.attacker, 0) for c in honest.evaluations)
    after = sum(c.granted.get(evil.attacker, 0) for c in evil.evaluations)
    return after / before if before else None


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
