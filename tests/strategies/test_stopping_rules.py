"""Overall uncertainty, expected gain per hour, and several rules together, by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from protocol.records import UNCERTAINTY_BINS, CycleRecord, SiteProgress, SiteReport
from strategies.stopping import STOPPING, GainPerHour, OverallUncertainty, Several, Stabilised
from strategies.stopping.gain_per_hour import expected
from strategies.stopping.mute import mute
from strategies.stopping.uncertainty import mean_uncertainty

STABLE = ((500, 1), (1, 498))


def histogram(**counts: int) -> tuple[int, ...]:
    """Counts by bin, such as b0=10."""
    return tuple(counts.get(f"b{i}", 0) for i in range(UNCERTAINTY_BINS))


def report(site: str = "a", **changes: object) -> SiteReport:
    plain = SiteReport(
        site=site,
        pool=1000,
        labeled=10,
        audit_left=0,
        capacity=10,
        seconds_per_reading=0.0,
        uncertainty=histogram(b0=100),
        predicted=(1000, 0),
        labels=(5, 5),
        kept=((0, 0), (0, 0)),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]  # fields by name


def record(cycle: int, *reports: SiteReport, minutes: float = 30.0) -> CycleRecord:
    done = {r.site: SiteProgress(r.site, 10, 0, 10, minutes) for r in reports}
    return CycleRecord(cycle, {r.site: r for r in reports}, {}, done)


def test_the_mean_uncertainty_is_over_all_cases_at_the_middles_of_the_bins() -> None:
    found = record(0, report("a", uncertainty=histogram(b0=30)),
                   report("b", uncertainty=histogram(b31=10)))  # fmt: skip
    assert mean_uncertainty(found) == pytest.approx(((30 / 64 + 10 * 63 / 64) / 40, 40))
    assert mean_uncertainty(record(0, report(uncertainty=histogram()))) == (-1.0, 0)
    with pytest.raises(ValueError, match="equally many bins"):
        mean_uncertainty(record(0, report("a"), report("b", uncertainty=(1,))))


def test_a_sure_model_is_told_of_only_after_so_many_cycles_and_never_an_untrained_one() -> None:
    sure, unsure = report(), report(uncertainty=histogram(b16=100))
    rule = OverallUncertainty(cycles=2)
    assert rule.advise([record(0, unsure), record(1, sure)]) == ""
    advice = rule.advise([record(0, unsure), record(1, sure), record(2, sure)])
    assert "0.016, 0.016 in the last 2 cycles (at most 0.1 wanted) on 100 unlabeled" in advice
    untrained = report(labeled=0)
    assert rule.advise([record(0, untrained), record(1, sure)]) == ""


def curve(cycles: int, a: float = 2.0, rest: float = 0.1) -> list[CycleRecord]:
    """Losses of a * n ** -0.5 + rest at 10, 20, 30 ... labels, 20 minutes for each 10."""
    past = []
    for cycle in range(cycles):
        loss = 0.0 if cycle < 2 else a * (10 * (cycle - 1)) ** -0.5 + rest
        told = {"prequential_loss": loss, "prequential_count": 4 if loss else 0}
        past.append(record(cycle, report(labeled=10 * cycle, **told), minutes=20.0))
    return past


def test_the_expected_gain_of_an_hour_by_hand() -> None:
    past = curve(8)  # the report counts 70 labels, 10 for each 20 minutes; the cycle read 10 more
    assert expected(past) == pytest.approx(2 * 80**-0.5 - 2 * 110**-0.5, rel=1e-3)
    many = {"a": replace(past[-1].progress["a"], readings=30, minutes=60.0)}
    more = [*past[:-1], replace(past[-1], progress=many)]  # 30 readings: 30 labels, until 100
    assert expected(more) == pytest.approx(2 * 100**-0.5 - 2 * 130**-0.5, rel=1e-3)
    assert expected(curve(3)) is None  # one loss
    assert expected([]) is None


@pytest.mark.parametrize("a", [-2.0, 0.0])
def test_losses_that_rise_or_stay_say_nothing_of_an_hour(a: float) -> None:
    past = curve(9, a=a, rest=1.0)
    assert expected(past) is None
    assert GainPerHour().advise(past) == ""


def test_an_hour_that_buys_little_is_told_of_and_one_that_buys_much_is_not() -> None:
    assert GainPerHour(least=0.01).advise(curve(9)) == ""
    advice = GainPerHour(least=0.06).advise(curve(9))
    assert "per physician hour in the last 2 cycles (0.06 wanted)" in advice
    assert GainPerHour(least=0.06, cycles=9).advise(curve(9)) == ""  # not all have a curve


def test_several_rules_tell_how_many_agree() -> None:
    past = [replace(r, reports={"a": replace(r.reports["a"], kept=STABLE)}) for r in curve(9)]
    both = Several(least=2).advise(past)
    assert both.startswith("2 of 3 rules advise it. Predictions have stabilised")
    assert "sure of the pool" in both
    assert Several(least=3).advise(past) == ""
    assert Stabilised().advise(past) in both


@pytest.mark.parametrize(
    ("rule", "arguments", "said"),
    [
        (OverallUncertainty, {"threshold": 1.0}, "threshold = 1.0"),
        (OverallUncertainty, {"cycles": 0}, "cycles = 0"),
        (GainPerHour, {"least": 0.0}, "least = 0.0"),
        (GainPerHour, {"cycles": True}, "cycles = True"),
        (Several, {"least": 4}, "least = 4"),
    ],
)
def test_arguments_out_of_range_are_refused(
    rule: type, arguments: dict[str, Sequence[float]], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        rule(**arguments)


@pytest.mark.parametrize("rule", sorted(STOPPING))
def test_a_private_study_says_that_no_rule_can_speak(rule: str) -> None:
    assert mute(rule, private=False, exploration=0.1) == ""
    assert bool(mute(rule, private=True, exploration=0.1)) == (rule != "never")
    assert bool(mute(rule, private=False, exploration=0.0)) == (rule == "gain-per-hour")
