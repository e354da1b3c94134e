"""Numbers and findings in words that a study lead reads, the same on a terminal and in a report."""

from __future__ import annotations

from collections.abc import Sequence

from simulations.results.comparison import Comparison
from simulations.results.curves import lower_is_better
from simulations.results.outcomes import Arm, Summary
from simulations.results.paired import LEVEL, Paired
from strategies.metrics.table import METRICS

NONE = "not estimable"
MINUS = "\N{MINUS SIGN}"


def number(value: float | None, decimals: int = 3) -> str:
    """A value, or that there is none."""
    return NONE if value is None else f"{value:.{decimals}f}".replace("-", MINUS)


def signed(value: float) -> str:
    """A difference with its sign."""
    rounded = f"{value:+.3f}"
    return "0.000" if float(rounded) == 0 else rounded.replace("-", MINUS)


def between(interval: tuple[float, float] | None, sign: bool = False) -> str:
    """An interval as "low to high", or that one seed gives none."""
    if interval is None:
        return "one seed, no interval"
    low, high = (signed(v) if sign else number(v) for v in interval)
    return f"{low} to {high}".replace(" ", "\N{NO-BREAK SPACE}")


def summary(found: Summary | None) -> str:
    """A mean and its interval."""
    return NONE if found is None else f"{number(found.mean)} ({between(found.interval)})"


def p_value(value: float) -> str:
    """A p value to two digits."""
    return "< 0.001" if value < 0.001 else f"{value:.2g}"


def percent(found: Summary | None) -> str:
    """A mean share as a percentage."""
    return "no bound" if found is None else f"{100 * found.mean:.1f} %"


def counted(count: int, noun: str) -> str:
    """A count with its noun, in the plural where it is not one."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def listed(names: Sequence[str]) -> str:
    """Names as "a, b and c"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def reached(arm: Arm, share: float) -> str:
    """The training labels after which an arm held a share of the bound."""
    bounded = arm.bounded(share)
    if not bounded:
        return "no bound"
    found, count = arm.reached(share)
    seeds = f"{count} of {bounded} seeds"
    if found is None:
        return "not reached" if count == 0 else f"not by half ({seeds})"
    return f"{found.labels:,} ({seeds})"


def measure(comparison: Comparison) -> str:
    """What was measured, such as "AUROC over all sites' locked test cases"."""
    scope = {
        "pooled": "over all sites' {} cases together",
        "macro": "on {} cases, mean over the sites",
        "worst": "on {} cases of the worst site",
    }[comparison.scope]
    split = "locked test" if comparison.choice.split == "locked" else "audit"
    return f"{METRICS[comparison.choice.metric].label} {scope.format(split)}"


def setting(comparison: Comparison) -> str:
    """What was compared, on what data, over how many sites and seeds."""
    runs, simulation = comparison.runs, comparison.runs.simulations[0]
    arms = [a.name for a in comparison.arms if not a.is_bound]
    verb = "was run alone" if len(arms) == 1 else "were compared"
    bound = ", beside full supervision," if comparison.bound and arms else ""
    cases = simulation.data.get("cases")
    size = f", {counted(cases, 'case')}" if isinstance(cases, int) else ""
    return (
        f"{listed(arms or ['full supervision'])} {verb}{bound} on {simulation.data.get('source')}"
        f"{size}, shared between {counted(len(simulation.sites), 'simulated site')} "
        f"(split {simulation.split}), with {counted(len(runs.seeds), 'seed')}."
    )


def finding(comparison: Comparison, pair: Paired) -> str:
    """What a paired comparison of the area under the curve found, as one sentence."""
    metric = METRICS[comparison.choice.metric].label
    span = f" (95 % interval {between(pair.mean_interval, True)})" if pair.mean_interval else ""
    way = "higher" if pair.mean > 0 else "lower"
    near = abs(pair.mean) < 0.0005
    how = "was within 0.0005 of that" if near else f"was {number(abs(pair.mean))} {way} than"
    arm = next(a for a in comparison.arms if a.name == pair.arm)
    share = f" ({percent(arm.share_of_bound)} of the bound)" if arm.share_of_bound else ""
    return (
        f"{pair.arm}: {metric} {how} with {pair.reference}{span}, better in {pair.wins} of "
        f"{counted(len(pair.seeds), 'seed')}; {number(arm.final.mean if arm.final else None)} "
        f"at the end{share}."
    )


def verdict(pair: Paired) -> str:
    """Whether chance is ruled out, could not be, or was not."""
    pairs = len(pair.seeds) - pair.zeros
    if pair.exploratory:
        return (
            f"Exploratory: {counted(pairs, 'seed')} with a difference cannot rule out chance, "
            f"even where an interval leaves out 0: the smallest possible p is "
            f"{p_value(pair.smallest_p)}. It takes at least {pair.seeds_needed} seeds."
        )
    shown = f"p = {p_value(pair.holm_p)}, Wilcoxon, corrected for the number of arms"
    if pair.holm_p <= LEVEL:
        return f"Chance is an unlikely explanation ({shown.replace('= <', '<')})."
    more = f"; with so many arms it takes at least {pair.seeds_needed} seeds"
    return f"Chance is not ruled out ({shown}){more if pairs < pair.seeds_needed else ''}."


def mark(pair: Paired) -> str:
    """A comparison's verdict in a word or two."""
    if pair.exploratory:
        return "exploratory"
    return "beyond chance" if pair.holm_p <= LEVEL else "chance not ruled out"


def headline(comparison: Comparison) -> tuple[str, ...]:
    """The result in plain sentences: the setting, then a finding for each arm, best first."""
    if not comparison.reference:
        alone = [_alone(arm) for arm in comparison.arms if not arm.is_bound]
        return (setting(comparison), *alone)
    pairs = comparison.against("aubc")
    if not pairs:
        nothing = "The arms could not be compared: no area under the budget curve is estimable."
        return (setting(comparison), nothing)
    sign = 1 if lower_is_better(comparison.choice.metric) else -1
    ranked = sorted(pairs, key=lambda pair: sign * pair.mean)
    low, high = comparison.between or (0, 0)
    where = f"Means over the budget, from {low:,.0f} to {high:,.0f} readings:"
    if all(pair.exploratory for pair in ranked):
        most = min(ranked, key=lambda pair: pair.smallest_p)
        found = [*(finding(comparison, pair) for pair in ranked), verdict(most)]
    else:
        found = [f"{finding(comparison, pair)} {verdict(pair)}" for pair in ranked]
    return (f"{setting(comparison)} {where}", *found)


def _alone(arm: Arm) -> str:
    """What a single arm reached, with nothing to hold it against."""
    share = "" if arm.share_of_bound is None else f", {percent(arm.share_of_bound)} of the bound"
    if arm.final is None:
        return f"What {arm.name} reached is not estimable, and no other arm was run."
    return f"At the end {arm.name} stood at {summary(arm.final)}{share}. No other arm was run."
