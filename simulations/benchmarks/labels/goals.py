"""The numbers that our strategy and the safe policy were to reach, and what the tables say of them.

The goals were set before anything was measured in this recipe.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from simulations.benchmarks.labels.figures import CLAIMED
from simulations.benchmarks.labels.gained import BY
from simulations.benchmarks.labels.kept import Key
from simulations.benchmarks.labels.ours import DUEL, OURS, PUBLISHED
from simulations.benchmarks.labels.policies import HARM, MORE_LOSS
from simulations.benchmarks.labels.shown import head, row

Line: TypeAlias = Mapping[str, Any]
Lines: TypeAlias = Sequence[Line]

SECONDS = 0.5
"""A cycle's selections over all sites, at most."""

SAVED = 0.15
"""Of the physician minutes, at least, with readings of unequal length."""

_ABOUT = f"""\
## The goals

Set before the first measurement in this recipe; those of `{OURS}` are held against confirmations of
{CLAIMED} seeds or more, those of `safe` against as many pairs on validation images. *Full
supervision* has every label of the pool.
"""


@dataclass(frozen=True, slots=True)
class Goal:
    """One goal.

    Attributes:
        track: on which.
        words: what was to be reached.
        measured: what was, in words.
        met: None where too little was measured to tell.
    """

    track: str
    words: str
    measured: str
    met: bool | None


def goal_table(told: Mapping[str, Any]) -> Iterator[str]:
    """The section: every goal, what was measured, and whether it was met.

    Args:
        told: as `summary.summary` has it.
    """
    yield _ABOUT
    yield from head("track", "goal", "measured", "verdict")
    for goal in goals(told):
        said = {True: "met", False: "**missed**", None: "open"}[goal.met]
        yield row([goal.track, goal.words, goal.measured, said])


def goals(told: Mapping[str, Any]) -> list[Goal]:
    """Every goal, by track and then that of the policy."""
    found = [
        _gain(told, "A", 0.05),
        _level(told, "A", "final", 0.945, "mean AUROC at the end"),
        _gain(told, "B", 0.03),
        _early(told, "B", 0.8),
        _level(told, "B", "worst", 0.920, "AUROC of the worst site at the end"),
        _control(told, "C", -0.003),
        _no_worse(told, "D"),
    ]
    found += [_above(told, track) for track in ("A", "B")]
    found += [_quick(told), *(_harmless(told, track) for track in ("A", "B", "C", "D"))]
    return [*found, *(_thrifty(told, track) for track in ("A", "B"))]


def _gain(told: Mapping[str, Any], track: str, least: float) -> Goal:
    words = f"AUBC of `{OURS}` at least {least} over `random`"
    line = _ours(told, track)
    if line is None:
        return Goal(track, words, "-", None)
    gain, low, high = line["gain"]
    return Goal(track, words, f"{gain:+.4f} ({low:+.4f} to {high:+.4f})", gain >= least)


def _level(told: Mapping[str, Any], track: str, what: str, least: float, words: str) -> Goal:
    words = f"{words} at least {least}"
    line = _ours(told, track)
    if line is None:
        return Goal(track, words, "-", None)
    (table,) = (t for t in told["tables"] if _key(t) == _confirmed(track))
    full = f"; full supervision has {table['full'][what]:.4f}" if table["full"] else ""
    return Goal(track, words, f"{line[what]:.4f}{full}", line[what] >= least)


def _early(told: Mapping[str, Any], track: str, least: float) -> Goal:
    words = f"98 % of the bound held from {BY} labels on in {least:.0%} of the seeds"
    line = _ours(told, track)
    if line is None or not line["early"][1]:
        return Goal(track, words, "-", None)
    count, seeds = line["early"]
    return Goal(track, words, f"{count / seeds:.0%} ({count}/{seeds})", count / seeds >= least)


def _control(told: Mapping[str, Any], track: str, least: float) -> Goal:
    words = (
        f"AUBC no more than {-least} under `random`, log-loss of the worst site within "
        f"{MORE_LOSS} of its"
    )
    line = _ours(told, track)
    if line is None or line["worst_loss"] is None:
        return Goal(track, words, "-", None)
    gain, loss = line["gain"][0], line["worst_loss"]
    return Goal(track, words, f"{gain:+.4f}, {loss:+.4f}", gain >= least and loss <= MORE_LOSS)


def _no_worse(told: Mapping[str, Any], track: str) -> Goal:
    words = "AUBC first, or not significantly behind the first"
    line = _ours(told, track)
    if line is None:
        return Goal(track, words, "-", None)
    rivals = [x for x in _confirmations(told, track) if x["arm"] != OURS]
    ahead = [x for x in rivals if x["aubc"] > line["aubc"]]
    said = f"number {len(ahead) + 1} of {len(rivals) + 1} beside `random`, {line['aubc']:.4f}"
    for x in sorted(ahead, key=lambda x: -float(x["aubc"]))[:1]:
        said += f"; `{x['arm']}` has {x['aubc']:.4f}, {x['ours'] or 'not compared'}"
    behind, untold = DUEL[2] in {x["ours"] for x in ahead}, None in {x["ours"] for x in ahead}
    return Goal(track, words, said, False if behind else None if untold else True)


def _above(told: Mapping[str, Any], track: str) -> Goal:
    words = "AUBC above LoGo, FairFAL, CoreSet, BADGE and FEAL (with either loss), beyond chance"
    others = [x for x in _confirmations(told, track) if x["arm"] in PUBLISHED]
    if _ours(told, track) is None or not others:
        return Goal(track, words, "-", None)
    level = [f"`{x['arm']}`" for x in others if x["ours"] != DUEL[0]]
    absent = [f"`{arm}`" for arm in PUBLISHED if arm not in {x["arm"] for x in others}]
    said = f"above {len(others) - len(level)} of {len(others)}"
    said += f", not {', '.join(level)}" if level else ""
    said += f"; still without a confirmation: {', '.join(absent)}" if absent else ""
    return Goal(track, words, said, False if level else None if absent else True)


def _quick(told: Mapping[str, Any]) -> Goal:
    words = f"`{OURS}` chooses within {SECONDS} s a cycle for all six sites"
    found = [line for track in "ABD" if (line := _ours(told, track))]
    if not found:
        return Goal("A, B, D", words, "-", None)
    most = max(line["query_seconds"] for line in found)
    return Goal("A, B, D", words, f"{most:.2f} s at most", most <= SECONDS)


def _harmless(told: Mapping[str, Any], track: str) -> Goal:
    words = (
        f"`safe` against `uniform`: lower bound of the mean AUBC above {HARM}, log-loss of the "
        f"worst site at most {MORE_LOSS} higher"
    )
    line = _safe(told, track)
    if line is None:
        return Goal(track, words, "-", None)
    said = f"{line['lower']:+.4f}, {line['worst_loss']:+.4f}; moved {line['moved']:.1%}"
    return Goal(track, words, said, line["safe"] == "yes")


def _thrifty(told: Mapping[str, Any], track: str) -> Goal:
    words = f"`safe`, and {SAVED:.0%} fewer minutes (readings of 0.5, 1 and 2) to what uniform has"
    line = _safe(told, track)
    if line is None:
        return Goal(track, words, "-", None)
    share = line["saved_share"]
    met = line["safe"] == "yes" and share is not None and share >= SAVED
    return Goal(track, words, line["saved"] or "-", met)


def _confirmed(track: str) -> Key:
    return "test", track, "selectors"


def _key(line: Line) -> Key:
    return line["split"], line["track"], line["cell"]


def _arms(told: Mapping[str, Any], key: Key) -> list[Line]:
    return [x for x in told["arms"] if _key(x) == key and x["seeds"] >= CLAIMED]


def _confirmations(told: Mapping[str, Any], track: str) -> list[Line]:
    """Every arm confirmed on a track, in the first cell or a further one."""
    further = ("test", track, "further")
    return [*_arms(told, _confirmed(track)), *_arms(told, further)]


def _ours(told: Mapping[str, Any], track: str) -> Line | None:
    return next((x for x in _arms(told, _confirmed(track)) if x["arm"] == OURS), None)


def _safe(told: Mapping[str, Any], track: str) -> Line | None:
    """The safe policy as it is by default, with readings of unequal length."""
    wanted = ("val", track, "minutes")
    found = (x for x in told["policies"] if _key(x) == wanted and x["policy"] == "safe")
    return next((x for x in found if x["seeds"] >= CLAIMED), None)
