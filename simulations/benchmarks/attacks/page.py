"""`docs/benchmarks-attacks.md`, written from the results file and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from simulations.attacks import ATTACKS
from simulations.benchmarks.attacks.figures import (
    Drawn,
    Measured,
    Outcome,
    drawn,
    holds,
    near,
    outcomes,
)
from simulations.benchmarks.attacks.programme import PLAIN, RULES
from simulations.benchmarks.labels.results import Results
from simulations.benchmarks.labels.tracks import TRACKS

_HEAD = """# What one dishonest site can do
"""


def page(results: Results) -> str:
    """The whole page."""
    parts = [_HEAD]
    runs = results.runs()
    for split in ("test", "val"):
        for track in dict.fromkeys(line["track"] for line in runs):
            found = [x for x in runs if x["track"] == track and x["scored_on"] == split]
            told = outcomes([x for x in found if x["cell"] == "attacked"])
            if told:
                parts += [f"## Track {track}: {TRACKS[track].title}, {split} split\n"]
                parts += [*_rules(told), "", *_table(told), ""]
            grants = drawn([x for x in found if x["cell"] == "drained"])
            if grants:
                parts += [f"## Track {track}: the budget, {split} split\n", *_grants(grants), ""]
    return "\n".join(parts).rstrip() + "\n"


def _rules(found: Sequence[Outcome]) -> Iterator[str]:
    """One row for each rule: its worst attack."""
    yield "| rule | most lost | at the worst site | backdoor believed | without attack | holds |"
    yield "| --- " * 6 + "|"
    for rule in RULES:
        mine = [o for o in found if o.rule == rule]
        if not mine:
            continue
        most = max(mine, key=lambda o: o.pooled_lost.mean)
        worst = max(mine, key=lambda o: o.worst_lost.mean)
        clean = [o for o in mine if not o.attack]
        fooled = [o.believed for o in mine if o.attack == "backdoor"]
        cells = [
            rule,
            f"{most.pooled_lost.mean:+.3f} ({most.attack or 'none'})",
            f"{worst.worst_lost.mean:+.3f} ({worst.attack or 'none'})",
            f"{fooled[0]:.1%}" if fooled else "-",
            f"{clean[0].believed:.1%}" if clean else "-",
            "reference" if rule == PLAIN else ("yes" if holds(found, rule) else "no"),
        ]
        yield f"| {' | '.join(cells)} |"


def _table(found: Sequence[Outcome]) -> Iterator[str]:
    yield (
        "| attack | rule | n | pooled | lost (95 %) | worst site | lost (95 %) | mark believed | "
        "attacker left out | others left out | near |"
    )
    yield "| --- " * 11 + "|"
    for attack in ("", *ATTACKS):
        for o in found:
            if o.attack == attack:
                cells = [
                    attack or "none", o.rule, str(len(o.seeds)), f"{o.pooled:.3f}",
                    _lost(o.pooled_lost), f"{o.worst:.3f}", _lost(o.worst_lost),
                    f"{o.believed:.1%}", f"{o.attacker_out:.0%}", f"{o.others_out:.0%}",
                    "yes" if near(o) else "no",
                ]  # fmt: skip
                yield f"| {' | '.join(cells)} |"


def _grants(found: Sequence[Drawn]) -> Iterator[str]:
    yield "| policy | n | grants over honest ones | most in a seed |"
    yield "| --- " * 4 + "|"
    for d in found:
        yield f"| {d.policy} | {len(d.seeds)} | x {d.ratio:.2f} | x {d.most:.2f} |"


def _lost(measured: Measured) -> str:
    if measured.interval is None:
        return f"{measured.mean:+.3f}"
    low, high = measured.interval
    return f"{measured.mean:+.3f} ({low:+.3f} to {high:+.3f})"
