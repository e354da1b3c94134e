"""What `make bench-labels` would run, without running it."""

from __future__ import annotations

from simulations.benchmarks.labels.programme import everything, quick
from simulations.benchmarks.labels.tracks import check_seed
from strategies.budget import BUDGET
from strategies.chosen import decisions
from strategies.query import QUERY


def test_every_run_of_the_programme_could_begin() -> None:
    one_of_each = {(job.track, job.cell, job.arm): job for job in [*everything(), *quick()]}
    for job in one_of_each.values():
        decisions(job.study(), allow_import=True)  # one that is refused would end the whole call
        check_seed(job.seed, job.scored_on)


def test_no_name_of_the_tables_is_left_out() -> None:
    jobs = everything()
    named = {job.arm.partition("@")[0].partition("+")[0] for job in jobs}
    assert named >= QUERY.keys()
    shared = {job.arm.partition("@")[2].partition("+")[0] for job in jobs}
    assert shared - {""} == BUDGET.keys() - {"uniform"}
