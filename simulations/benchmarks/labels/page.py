"""`docs/benchmarks-labels.md`, written from the results file, table by table."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from simulations.benchmarks.labels import gained, ours, policy_table
from simulations.benchmarks.labels.figures import Figures, figures
from simulations.benchmarks.labels.goals import goal_table
from simulations.benchmarks.labels.kept import NOTHING, Key, committed, joined, kept, runs_of, said
from simulations.benchmarks.labels.policies import policies
from simulations.benchmarks.labels.recipe import ABOUT, CELLS
from simulations.benchmarks.labels.results import Results
from simulations.benchmarks.labels.tracks import TRACKS, Track, track_of

_HEAD = """# Label efficiency

Written by `make bench-labels` from its results file; do not edit. Published methods are our
re-implementations, from the papers and the authors' code, in the one recipe of
`simulations/benchmarks/labels/recipe.py`: FedAvg, 20 rounds of 2 local epochs (10 to 60 steps) from
the same first weights in every cycle, Adam 3e-3 with a cosine, batches of 16; the first labels are
4 random ones per site, the same for every arm; then each site gets as many a cycle under `uniform`.
Development uses validation splits and seeds 0-99, confirmation the test split and seeds 100-119,
and the code refuses anything else.

*AUBC* is the mean AUROC over the label budget, *final* the AUROC at its end, *of full* the final
over that of the arm that has every label; *gain* is the Hodges-Lehmann shift against the reference,
seed by seed, with its 95 % interval; *p* is the exact Wilcoxon signed-rank test, Holm-corrected
over the table's arms. *98 %* and *99 %* are the median labels to hold that share of the full bound
at two evaluations in a row (the last one needs no second), and in how many seeds that happened.
*Query* is processor time of one cycle's selections over all sites, in the cycles after the random
first labels (whose own few milliseconds are in it); *score* that of scoring the pools before them
and of training a site's own models where a strategy asks for them, whatever else the machine was
doing. *Worst site* is its final AUROC, among the sites that have scored cases of every class;
*log-loss* is at the end, too; *rarest class* is the share, among the labels that the arm asked for,
of the class of which it has fewest.
Fewer than 20 pairs are marked exploratory: they claim nothing.
A budget policy shares the first labels, too, so its arms may begin otherwise. A table stays until
there are results of as many runs as it was written from.
"""


_LOG = """\
Each was written down before its first run and after its last. One that has no end was cut short by
the clock of its session; the next line of its track and cell is the same one again. Between a
track's first beginning and its end nothing that its arms choose by was changed (`git log --
strategies/query`).
"""


@dataclass(frozen=True, slots=True)
class Group:
    """The runs of one table; `named` is the track's name in the results."""

    named: str
    track: Track
    cell: str
    scored_on: str
    lines: list[Mapping[str, Any]]

    @property
    def key(self) -> Key:
        """What its table is known by."""
        return self.scored_on, self.track.name, self.cell

    @property
    def runs(self) -> int:
        """How many its table is written from: of an arm and seed the newest."""
        return len({(line["arm"], line["seed"]) for line in self.lines})


def page(results: Results, before: str = "", told: Mapping[str, Any] = NOTHING) -> str:
    """The whole page.

    Args:
        results: what is known here.
        before: the page as it is; of what is not known here its tables and lists stay.
        told: what was measured by all tables, as `summary` has it, for the goals.
    """
    old, groups = committed(before), {g.key: g for g in grouped(results)}
    stay = kept(
        {key: runs_of(table) for key, table in old.tables.items()},
        {key: group.runs for key, group in groups.items()},
    )
    found = {key: old.tables[key] for key in stay}
    found |= {key: _table(group) for key, group in groups.items() if key not in stay}
    parts = [_HEAD, gained.COLUMNS, ours.COLUMNS]
    parts += [policy_table.COLUMNS] if any(policy_table.HEAD in t for t in found.values()) else []
    parts += [*goal_table(told), ""] if told["tables"] else []
    for scored_on, title in (("test", "Confirmation"), ("val", "Development")):
        keys = sorted((key for key in found if key[0] == scored_on), key=place)
        if keys:
            parts.append(f"## {title}: the {scored_on} split\n")
            parts += [found[key] for key in keys]
    parts.append(f"## Confirmations\n\n{_LOG}")
    parts += joined(old.lists, "Confirmations", _confirmations(results)) or ["None was begun."]
    failed = joined(old.lists, "Runs that failed", _failed(results))
    parts += ["\n## Runs that failed\n", *failed] if failed else []
    return "\n".join(parts).rstrip() + "\n"


def place(key: Key) -> tuple[bool, int, str, int]:
    """Where a table stands: confirmations first, then by track and cell."""
    split, track, cell = key
    tracks, cells = list(TRACKS), list(CELLS)
    return (
        split != "test",
        tracks.index(track) if track in tracks else len(tracks),
        track,
        cells.index(cell) if cell in cells else len(cells),
    )


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
    about = f"{ABOUT[group.cell][0].upper()}{ABOUT[group.cell][1:]}."
    parts = [title, f"{about} {said(group.runs)} of {_seeds(numbers)}\n"]
    parts += [*gained.gains(numbers), ""]
    parts += [*gained.ends(numbers), ""] if numbers.aubc else []
    parts += [*ours.against_others(numbers.arms), *gained.costs(numbers), ""]
    strategies = dict.fromkeys(
        str(x["arm"]).partition("@")[0] for x in group.lines if "@" in str(x["arm"])
    )
    for strategy in strategies:
        found = policies(group.track, group.lines, strategy)
        if found:
            parts += [*policy_table.policy_table(strategy, found), ""]
    return "\n".join(parts)


def _seeds(numbers: Figures) -> str:
    count = len(numbers.seeds)
    words = "1 seed" if count == 1 else f"{count} seeds"
    if numbers.left_out:
        words += f"; {numbers.left_out} runs of older code that began otherwise are left out"
    versions = "1 version" if numbers.codes == 1 else f"up to {numbers.codes} versions"
    commits = "commit" if len(numbers.commits) == 1 else "commits"
    words += (
        f". An arm's runs are of {versions} of its code; {commits} {', '.join(numbers.commits)}."
    )
    fewest, most, sites = numbers.estimable
    if fewest < sites:
        among = f"{most}" if fewest == most else f"{fewest} to {most}, by the seed,"
        words += f" Of its {sites} sites {among} have an AUROC of their own."
    return words


def _confirmations(results: Results) -> Iterator[str]:
    """Every confirmation that was begun."""
    for line in results.of("confirmation"):
        more = f", {line['failed']} runs failed" if line["failed"] else ""
        yield (
            f"* {line['when']}: {line['event']}{more}; track {line['track']}, cell {line['cell']}, "
            f"seeds {line['seeds']}, arms {', '.join(line['arms'])}"
        )


def _failed(results: Results) -> Iterator[str]:
    """Every run that failed."""
    for line in results.of("failed"):
        yield (
            f"* {line['when']}: track {line['track']}, {line['cell']}, {line['scored_on']}, "
            f"`{line['arm']}`, seed {line['seed']}: {line['error'].splitlines()[0][:160]}"
        )
