"""`docs/benchmarks-labels.md`, written from the results file and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simulations.benchmarks.labels.figures import Figures, figures
from simulations.benchmarks.labels.policies import HARM, PolicyFigures, policies
from simulations.benchmarks.labels.recipe import ABOUT, CELLS
from simulations.benchmarks.labels.results import Results
from simulations.benchmarks.labels.tracks import TRACKS, Track, track_of
from simulations.results.outcomes import Arm, Summary
from simulations.results.paired import LEVEL, Paired

CLAIMED = 20
"""Pairs below which a table is exploratory."""

_HEAD = """# Label efficiency

Written by `make bench-labels` from its results file; do not edit. Published methods are our
re-implementations, from the papers and the authors' code, in the one recipe of
`simulations/benchmarks/labels/recipe.py`: FedAvg, 20 rounds of 2 local epochs (10 to 60 steps) from
the same first weights in every cycle, Adam 3e-3 with a cosine, batches of 16; the first labels are
4 random ones per site, the same for every arm; then each site gets as many a cycle under `uniform`.
Development uses validation splits and seeds 0-99, confirmation the test split and seeds 100-119,
and the code refuses anything else.

*AUBC* is the mean AUROC over the label budget; *gain* is the Hodges-Lehmann shift against the
reference, seed by seed, with its 95 % interval; *p* is the exact Wilcoxon signed-rank test,
Holm-corrected over the table's arms. *98 %* and *99 %* are the median labels to hold that share of
the full bound at two evaluations in a row (the last one needs no second), and in how many seeds
that happened. *Query* is processor time of one cycle's selections over all sites, in the cycles
after the random first labels (whose own few milliseconds are in it); *score* that of scoring the
pools before them and of training a site's own models where a strategy asks for them, whatever else
the machine was doing. *Worst site* is its final AUROC where it can be told. Fewer than 20 pairs are
marked exploratory: they claim nothing.
A budget policy shares the first labels, too, so its arms may begin otherwise.
"""


@dataclass(frozen=True, slots=True)
class Group:
    """The runs of one table."""

    track: Track
    cell: str
    scored_on: str
    lines: list[Mapping[str, Any]]


def page(results: Results) -> str:
    """The whole page."""
    parts = [_HEAD]
    groups = grouped(results)
    for scored_on, title in (("test", "Confirmation"), ("val", "Development")):
        found = [g for g in groups if g.scored_on == scored_on]
        if found:
            parts.append(f"## {title}: the {scored_on} split\n")
            parts += [_table(group) for group in found]
    parts.append("\n".join(_log(results)))
    return "\n".join(parts).rstrip() + "\n"


def grouped(results: Results) -> list[Group]:
    """Runs by track, cell and split, in the order of the tables."""
    found: dict[tuple[str, str, str, str], Group] = {}
    for line in results.runs():
        key = (line["track"], line["file"], line["cell"], line["scored_on"])
        if key not in found:
            track = _track(line["track"], line["file"])
            found[key] = Group(track, line["cell"], line["scored_on"], [])
        found[key].lines.append(line)
    tracks, cells = list(TRACKS), list(CELLS)
    order = sorted(found, key=lambda k: (tracks.index(k[0]), k[1], cells.index(k[2])))
    return [found[key] for key in order]


def _track(name: str, file: str) -> Track:
    """The track, by its name alone where its file has gone."""
    from pathlib import Path

    path = Path(file) if file and Path(file).is_file() else None
    return track_of(name, path)


def _table(group: Group) -> str:
    numbers = figures(group.track, group.lines)
    title = f"### Track {group.track.name}, {group.cell}: {group.track.title}\n"
    said = [title, f"{ABOUT[group.cell][0].upper()}{ABOUT[group.cell][1:]}. {_seeds(numbers)}\n"]
    said += [*gains(numbers), "", *costs(numbers), ""]
    strategies = dict.fromkeys(
        str(x["arm"]).partition("@")[0] for x in group.lines if "@" in str(x["arm"])
    )
    for strategy in strategies:
        found = policies(group.track, group.lines, strategy)
        if found:
            said += [*_policies(strategy, found), ""]
    return "\n".join(said)


def _seeds(numbers: Figures) -> str:
    count = len(numbers.seeds)
    words = "1 seed" if count == 1 else f"{count} seeds"
    if numbers.left_out:
        words += f"; {numbers.left_out} runs of older code that began otherwise are left out"
    return words + "."


def gains(numbers: Figures) -> Iterator[str]:
    """The table of what was reached, best AUBC first, the bound last."""
    yield (
        "| arm | n | AUBC | gain | wins | p | verdict | final | of full | 98 % | 99 % | "
        "worst site | worst log-loss | rarest class |"
    )
    yield "| --- " * 14 + "|"
    for arm in sorted(numbers.arms, key=lambda a: (a.is_bound, -(a.aubc.mean if a.aubc else 0))):
        loss = next(x for x in numbers.losses if x.name == arm.name)
        paired = numbers.aubc.get(arm.name)
        cells = [
            f"`{arm.name}`",
            str(len(arm.outcomes)),
            "-" if arm.is_bound else _mean(arm.aubc),
            *_against(paired),
            _mean(arm.final),
            "-" if arm.is_bound or not arm.share_of_bound else f"{arm.share_of_bound.mean:.1%}",
            *(_reached(arm, share) for share in (0.98, 0.99)),
            _mean(arm.worst_final),
            _mean(loss.worst_final),
            _rarest(arm),
        ]
        yield f"| {' | '.join(cells)} |"


def verdict(paired: Paired) -> str:
    """Win, tie or lose by the corrected test; exploratory with fewer than 20 pairs."""
    if len(paired.seeds) < CLAIMED:
        return "exploratory"
    if paired.holm_p >= LEVEL:
        return "tie"
    return "win" if paired.shift > 0 else "lose"


def _against(paired: Paired | None) -> list[str]:
    if paired is None:
        return ["-", "-", "-", "-"]
    low, high = paired.shift_interval
    return [
        f"{paired.shift:+.4f} ({low:+.4f} to {high:+.4f})",
        f"{paired.wins}/{len(paired.seeds)}",
        f"{paired.holm_p:.3f}",
        verdict(paired),
    ]


def costs(numbers: Figures) -> Iterator[str]:
    """The table of what the arms cost."""
    yield "| arm | query s | score s | physician minutes | MB sent | run s |"
    yield "| --- " * 6 + "|"
    for arm in numbers.arms:
        cost = numbers.costs[arm.name]
        yield (
            f"| `{arm.name}` | {cost.query:.2f} | {cost.report:.2f} | {cost.minutes:.0f} | "
            f"{cost.megabytes:.0f} | {cost.wall:.0f} |"
        )


def _policies(strategy: str, found: Mapping[str, PolicyFigures]) -> Iterator[str]:
    yield f"Budget policies with `{strategy}`, against uniform:\n"
    yield (
        "| policy | n | mean AUBC difference | lower bound | never under "
        f"{HARM} | worst log-loss | budget moved | minutes saved | held |"
    )
    yield "| --- " * 9 + "|"
    for arm, numbers in found.items():
        n = len(numbers.paired.seeds)
        safe = "exploratory"
        if n >= CLAIMED and numbers.lower is not None:
            safe = "yes" if numbers.lower > HARM else "no"
        cells = [
            f"`{arm.partition('@')[2]}`",
            str(n),
            f"{numbers.paired.mean:+.4f}",
            "-" if numbers.lower is None else f"{numbers.lower:+.4f}",
            safe,
            "-" if numbers.final_loss is None else f"{numbers.final_loss:+.3f}",
            f"{numbers.moved:.1%}",
            f"{numbers.saved:.1%}",
            f"{numbers.held}/{n}",
        ]
        yield f"| {' | '.join(cells)} |"


def _log(results: Results) -> Iterator[str]:
    """Every confirmation that was begun, and every run that failed."""
    yield "## Confirmations\n"
    lines = results.of("confirmation")
    if not lines:
        yield "None was begun."
    for line in lines:
        more = f", {line['failed']} runs failed" if line["failed"] else ""
        yield (
            f"* {line['when']}: {line['event']}{more}; track {line['track']}, cell {line['cell']}, "
            f"seeds {line['seeds']}, arms {', '.join(line['arms'])}"
        )
    failed = results.of("failed")
    if failed:
        yield "\n## Runs that failed\n"
    for line in failed:
        yield (
            f"* {line['when']}: track {line['track']}, {line['cell']}, {line['scored_on']}, "
            f"`{line['arm']}`, seed {line['seed']}: {line['error'].splitlines()[0][:160]}"
        )


def _mean(summary: Summary | None) -> str:
    if summary is None:
        return "-"
    if summary.interval is None:
        return f"{summary.mean:.4f}"
    return f"{summary.mean:.4f} ± {(summary.interval[1] - summary.interval[0]) / 2:.4f}"


def _reached(arm: Arm, share: float) -> str:
    if arm.is_bound or not any(share in o.reached for o in arm.outcomes):
        return "-"
    found, count = arm.reached(share)
    words = "never" if found is None else str(found.labels)
    return f"{words} ({count}/{len(arm.outcomes)})"


def _rarest(arm: Arm) -> str:
    """The mean share, among its labels, of the class that has fewest there."""
    shares: Sequence[float] = [min(o.shares) for o in arm.outcomes if o.shares]
    return f"{sum(shares) / len(shares):.0%}" if shares else "-"
