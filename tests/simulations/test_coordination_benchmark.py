"""The benchmark of the coordination service runs, on few sites."""

from __future__ import annotations

import os

import pytest

from simulations.benchmarks.coordination import coordination, memory
from simulations.benchmarks.engines import benchmarks


def test_it_is_one_of_the_benchmarks() -> None:
    assert benchmarks()["coordination"] is coordination


def test_memory_is_that_of_the_program() -> None:
    own = memory(os.getpid())
    assert 5 < own["Pss"] <= own["Rss"] < 10_000


@pytest.mark.slow
def test_a_quick_run_measures_everything() -> None:
    lines = list(coordination(True, 1))
    assert len(lines) == 7
    assert all(line.values[0] > 0 for line in lines)
