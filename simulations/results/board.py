"""A page for a hospital's board: what a study spent of privacy, what left, what that cost."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from simulations.attacks import ATTACKS
from simulations.results import words
from simulations.results.attacked import attacked
from simulations.results.compare import compare
from simulations.results.comparison import Comparison
from simulations.results.left import left
from simulations.results.outcomes import Arm as Compared
from simulations.results.outcomes import Choice
from simulations.results.page import Table
from simulations.results.private import is_without, private
from simulations.results.report import filled, written
from strategies.aggregation import AGGREGATION
from strategies.metrics.table import METRICS
from strategies.private import CONDITIONAL, COVERED

NEAR = 0.02
"""A loss of the metric that counts as survived."""

BELIEVED = 0.1
"""A share of turned images from which on a mark counts as planted."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """One arm, for a board.

    Attributes:
        arm: its name.
        answers: what a board asks, and what there is to say, in reading order.
        private: what was spent, by site; None where the study is not private.
        left: what left a site; None where the sites' logs are gone.
        attacked: what one dishonest site could do; None where none was rehearsed.
    """

    arm: str
    answers: tuple[tuple[str, str], ...]
    private: Table | None
    left: Table | None
    attacked: Table | None


def write_board(outs: Sequence[Path], path: Path, choice: Choice | None = None) -> Path:
    """Write the page on the runs in some directories; the same runs, the same bytes.

    Raises:
        NotARun, NotPaired, CannotCompare: see `compare`; nothing is written.
    """
    comparison = compare(outs, choice)
    metric = METRICS[comparison.choice.metric]
    simulation = comparison.runs.simulations[0]
    content = {
        "study": simulation.study,
        "metric": metric,
        "seeds": words.counted(len(comparison.runs.seeds), "seed"),
        "sites": words.counted(len(simulation.sites), "site"),
        "sheets": sheets(comparison),
    }
    return written(path, filled("board.html.j2", content))


def sheets(comparison: Comparison) -> tuple[Sheet, ...]:
    """A sheet for each arm but bounds, attacked ones, and those without another's privacy."""
    names = [arm.name for arm in comparison.arms if not arm.is_bound and "~" not in arm.name]
    spare = {two for one in names for two in names if is_without(one, two)}
    return tuple(
        _sheet(comparison, arm)
        for arm in comparison.arms
        if arm.name in names and arm.name not in spare
    )


def _sheet(comparison: Comparison, arm: Compared) -> Sheet:
    spent, evil = private(comparison), attacked(comparison)
    return Sheet(
        arm.name,
        tuple(_answers(comparison, arm)),
        _rows(spent, lambda name: name == arm.name),
        left(comparison.runs.of(arm.name)),
        _rows(evil, lambda name: name.startswith(f"{arm.name}~")),
    )


def _rows(table: Table | None, wanted: Callable[[str], bool]) -> Table | None:
    """The rows whose first column is wanted; None without one."""
    rows = tuple(row for row in table.rows if wanted(row[0])) if table else ()
    return Table(table.head, rows) if table and rows else None


def _answers(comparison: Comparison, arm: Compared) -> Iterator[tuple[str, str]]:
    study = tomllib.loads(comparison.runs.of(arm.name)[0].study)
    yield "What may be learnt of one patient?", _privacy(comparison, arm.name, study)
    yield "Who sees this hospital's own update?", _seen(study)
    yield "How good is the model?", _accuracy(comparison, arm)
    cost = _cost(comparison, arm)
    if cost:
        yield "What did privacy cost in accuracy?", cost
    yield "What could one dishonest site do?", _survived(comparison, arm)


def _privacy(comparison: Comparison, arm: str, study: Mapping[str, Any]) -> str:
    runs = comparison.runs.of(arm)
    spent = [site for run in runs for site in run.privacy.values()]
    if not spent:
        return (
            "No bound: there is no differential privacy in this study, and updates of a model may "
            "reveal images of those that it was trained on."
        )
    most = study["privacy"]["epsilon"]
    training, evaluation = (max(site[part] for site in spent) for part in ("training", "audit"))
    delta = max(site["delta"] for site in spent)
    covered = all(site["covered"] for site in spent)
    chosen = COVERED if covered else f"but: {CONDITIONAL}"
    return (
        f"Differential privacy for patients. Of epsilon {most:g} the site that spent most spent "
        f"{training:.2f} on training, and {evaluation:.2f} on patients of the audit set, at delta "
        f"{delta:.0e} or less; {chosen}."
    )


def _seen(study: Mapping[str, Any]) -> str:
    table = study.get("aggregation", {})
    name = table.get("name", "fedavg")
    line = (AGGREGATION[name].__doc__ or "").partition("\n")[0] if name in AGGREGATION else ""
    how = f"Updates are averaged by {name}. {line}".strip()
    if table.get("secure"):
        return (
            "Nobody, if the server keeps to the protocol: it sees sums of three sites or more. "
            f"A server that lies can make up the other sites and see one alone. {how}"
        )
    return f"The server. {how}"


def _accuracy(comparison: Comparison, arm: Compared) -> str:
    label = METRICS[comparison.choice.metric].label
    return (
        f"{label} {words.summary(arm.final)} at the end; {words.summary(arm.worst_final)} at the "
        "site where it is worst."
    )


def _cost(comparison: Comparison, arm: Compared) -> str:
    """The arm beside itself without privacy; empty where that was not run."""
    for other in comparison.arms:
        if is_without(arm.name, other.name):
            mine, theirs = arm.by_seed("final"), other.by_seed("final")
            both = sorted(mine.keys() & theirs.keys())
            if both:
                lost = fmean(theirs[seed] - mine[seed] for seed in both)
                return (
                    f"{words.number(lost)} of {METRICS[comparison.choice.metric].label}: without "
                    f"privacy it is {words.summary(other.final)}, on the same seeds."
                )
    return ""


def _survived(comparison: Comparison, arm: Compared) -> str:
    """How many attacks of one site cost no more than a little."""
    lost = dict(_lost(comparison, arm))
    if not lost:
        return "It was not rehearsed: run the study again with --attack."
    turned = _turned(comparison, arm)
    fooled = {attack for attack, share in turned.items() if share >= BELIEVED}
    worst = max(lost, key=lambda attack: lost[attack])
    near = sum(value <= NEAR and attack not in fooled for attack, value in lost.items())
    marks = "".join(
        f" The mark of {a} turned {share:.0%} of images." for a, share in turned.items()
    )
    return (
        f"{near} of {words.counted(len(lost), 'attack')} cost at most {NEAR} of "
        f"{METRICS[comparison.choice.metric].label} and planted no mark; the most, "
        f"{words.number(lost[worst])}, was lost to {worst}.{marks} Readers who answer wrongly on "
        "purpose cannot be told from a site that is unlike the others."
    )


def _lost(comparison: Comparison, arm: Compared) -> Iterator[tuple[str, float]]:
    """Each attack, and the mean of what it cost at the end, seed by seed."""
    mine = arm.by_seed("final")
    for other in comparison.arms:
        name, _, attack = other.name.partition("~")
        evil = other.by_seed("final")
        both = sorted(mine.keys() & evil.keys())
        if attack and name == arm.name and both:
            yield attack, fmean(mine[seed] - evil[seed] for seed in both)


def _turned(comparison: Comparison, arm: Compared) -> dict[str, float]:
    """Each backdoor, and the mean share of images that its mark turned."""
    found = {}
    for attack in (name for name in ATTACKS if ATTACKS[name].backdoor):
        runs = comparison.runs.of(f"{arm.name}~{attack}")
        known = [run.backdoor for run in runs if run.backdoor is not None]
        if known:
            found[attack] = fmean(known)
    return found
