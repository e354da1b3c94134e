"""`docs/benchmarks-labels.md`, written from the results file and nothing else."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from simulations.benchmarks.labels import gained, ours, policy_table
from simulations.benchmarks.labels.figures import Figures, figures
from simulations.benchmarks.labels.policies import policies
from simulations.benchmarks.labels.recipe import ABOUT, CELLS
from simulations.benchmarks.labels.results import Results
from simulations.benchmarks.labels.tracks import TRACKS, Track, track_of
from simulations.benchmarks.pages import origin

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
    """The runs of one table; `named` is the track's name in the results."""

    named: str
    track: Track
    cell: str
    scored_on: str
    lines: list[Mapping[str, Any]]


def page(results: Results) -> str:
    """The whole page."""
    groups = grouped(results)
    shared = any("@" in str(line["arm"]) for group in groups for line in group.lines)
    parts = [_HEAD, origin(results), gained.COLUMNS, ours.COLUMNS]
    parts += [policy_table.COLUMNS] if shared else []
    for scored_on, title in (("test", "Confirmation"), ("val", "Development")):
        found = [g for g in groups if g.scored_on == scored_on]
        if found:
            parts.append(f"## {title}: the {scored_on} split\n")
            parts += [_table(group) for group in found]
    parts.append("\n".join(_log(results)))
    return "\n".join(parts).rstrip() + "\n"


def tables(results: Results, wanted: Collection[tuple[str, str, str]]) -> str:
    """The tables of some tracks, cells and splits, for the terminal."""
    found = [g for g in grouped(results) if (g.named, g.cell, g.scored_on) in wanted]
    return "\n".join(f"## On the {g.scored_on} split\n\n{_table(g)}" for g in found).rstrip()


def grouped(results: Results) -> list[Group]:
    """Runs by track, cell and split, in the order of the tables."""
    found: dict[tuple[str, str, str, str], Group] = {}
    for line in results.runs():
        key = (line["track"], line["file"], line["cell"], line["scored_on"])
        if key not in found:
            track = _track(line["track"], line["file"])
            found[key] = Group(line["track"], track, line["cell"], line["scored_on"], [])
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
    said += [*gained.gains(numbers), "", *gained.ends(numbers), ""]
    said += [*ours.against_published(numbers.arms), *gained.costs(numbers), ""]
    strategies = dict.fromkeys(
        str(x["arm"]).partition("@")[0] for x in group.lines if "@" in str(x["arm"])
    )
    for strategy in strategies:
        found = policies(group.track, group.lines, strategy)
        if found:
            said += [*policy_table.policy_table(strategy, found), ""]
    return "\n".join(said)


def _seeds(numbers: Figures) -> str:
    count = len(numbers.seeds)
    words = "1 seed" if count == 1 else f"{count} seeds"
    if numbers.left_out:
        words += f"; {numbers.left_out} runs of older code that began otherwise are left out"
    versions = "1 version" if numbers.codes == 1 else f"up to {numbers.codes} versions"
    commits = "1 commit" if numbers.commits == 1 else f"{numbers.commits} commits"
    return f"{words}. An arm's runs are of {versions} of its code, all runs of {commits}."


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
