"""The table of budget policies against uniform with the same strategy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from simulations.benchmarks.labels.policies import HARM, MORE_LOSS, PolicyFigures
from simulations.benchmarks.labels.shown import head, row

COLUMNS = f"""\
A table of budget policies holds each against `uniform` with the same strategy, seed by seed; *n* is
the number of pairs. Its columns:

* *Mean AUBC, more*: the mean difference of AUBC, policy minus uniform; *lower bound*: the one-sided
  95 % lower bound of that mean, by Student's t.
* *Worst log-loss, more*: the mean difference of the final log-loss of the site where it is highest.
* *Safe*: whether that lower bound is above {HARM} and that log-loss at most {MORE_LOSS} higher.
* *Budget moved*: the mean share of a cycle's budget, after the first cycle, that uniform would have
  given another site. A policy that moves nothing ties, and does not win.
* *Minutes saved*: the goal is the mean AUROC that uniform has at its whole budget; the number is 1
  minus the policy's mean physician minutes from which on its mean curve stays there, over uniform's
  own; the means are over the seeds, with the 95 % interval of 2,000 paired resamples of them.
  Uniform against itself saves 0. *Never*: the policy's mean curve ends below the goal.
"""


HEAD = "Budget policies with "
"""How every such table begins."""


def policy_table(strategy: str, found: Mapping[str, PolicyFigures]) -> Iterator[str]:
    """One row for each policy."""
    yield f"{HEAD}`{strategy}`, against uniform:\n"
    yield from head(
        *("policy", "n", "mean AUBC, more", "lower bound", "worst log-loss, more", "safe"),
        *("budget moved", "minutes saved (95 %)"),
    )
    for arm, numbers in found.items():
        yield row(
            [
                f"`{arm.partition('@')[2]}`",
                str(len(numbers.paired.seeds)),
                f"{numbers.paired.mean:+.4f}",
                "-" if numbers.lower is None else f"{numbers.lower:+.4f}",
                "-" if numbers.final_loss is None else f"{numbers.final_loss:+.3f}",
                numbers.safe,
                f"{numbers.moved:.1%}",
                "-" if numbers.saved is None else str(numbers.saved),
            ]
        )
