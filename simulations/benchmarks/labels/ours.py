"""The table of our strategy against other methods, measured in the same runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from simulations.benchmarks.labels.shown import chance, head, row, shift, verdict
from simulations.results.outcomes import Arm
from simulations.results.paired import Paired, correct, pair

OURS = "ward"

PUBLISHED = ("logo", "fairfal", "coreset", "badge", "feal", "feal+training.loss=evidential")
"""The arms that the issue names: LoGo, FairFAL, CoreSet, BADGE, and FEAL with either loss."""

SCREENED = (
    "fedal",
    "ward+query.cold_start=typiclust",
    "class-balanced+query.arguments.inner=coreset",
    "probcover",
    "kafal",
    "bald+network.dropout=0.2",
    "margin",
    "class-balanced+query.arguments.inner=entropy",
    "least-confidence",
    "maxherding",
)
"""Those confirmed beside them, among the best four of a track's screen (MaxHerding by the mean over
the sites alone); the quota is no paper's."""

MEASURES: Mapping[str, str] = {
    "aubc": "AUBC",
    "final": "final AUROC",
    "worst_final": "worst site's final AUROC",
}

DUEL = (f"{OURS} above", "no difference shown", f"{OURS} below")
"""Its verdicts."""

COLUMNS = f"""\
Where our own strategy, `{OURS}`, is in a table, a further one holds it against the published
methods there that it was to beat, and against what else was among the best four of a screen:
*`{OURS}`, more* is the Hodges-Lehmann shift, `{OURS}` minus the method, with its 95 % interval,
*wins* the pairs in which `{OURS}` is higher, *p* the exact Wilcoxon test, Holm-corrected over the
methods of that measure.
"""


def duels(arms: Sequence[Arm], measure: str) -> list[Paired]:
    """Ours minus each other method that is among the arms, corrected for their number."""
    known = {arm.name: arm.by_seed(measure) for arm in arms}
    if OURS not in known:
        return []
    there = [name for name in (*PUBLISHED, *SCREENED) if name in known]
    found = [pair((OURS, name), measure, known[OURS], known[name]) for name in there]
    return list(correct([p for p in found if p is not None]))


def against_others(arms: Sequence[Arm]) -> Iterator[str]:
    """The table; nothing where ours or all of the others are not among the arms."""
    found = [(words, p) for measure, words in MEASURES.items() for p in duels(arms, measure)]
    if not found:
        return
    yield f"`{OURS}` against other methods:\n"
    yield from head("measure", "method", f"`{OURS}`, more", "wins", "p", "verdict")
    for words, p in found:
        said = verdict(p, DUEL)
        cells = [words, f"`{p.reference}`", shift(p), f"{p.wins}/{len(p.seeds)}"]
        yield row([*cells, chance(p), said])
    yield ""
