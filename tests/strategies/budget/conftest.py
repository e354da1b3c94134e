from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from protocol.records import UNCERTAINTY_BINS, CycleRecord, SiteProgress, SiteReport

Course = tuple[list[SiteReport], list[CycleRecord]]


def course(
    losses: Mapping[str, Sequence[float]],
    count: int = 8,
    labels: int = 10,
    minutes: Mapping[str, float] | None = None,
    capacity: int = 999,
) -> Course:
    """What a policy is told once every site has measured these losses.

    The first loss is of the untrained model, the next of the model trained on `labels` labels of
    each site, and so on. `minutes` are those of one reading.
    """
    cycles = max((len(row) for row in losses.values()), default=0)
    pace = minutes or {}

    def report(site: str, cycle: int) -> SiteReport:
        return SiteReport(
            site=site,
            pool=100,
            labeled=labels * cycle,
            audit_left=0,
            capacity=capacity,
            seconds_per_reading=60 * pace.get(site, 1.0) if cycle else 0.0,
            uncertainty=(100,) + (0,) * (UNCERTAINTY_BINS - 1),
            predicted=(50, 50),
            labels=(labels * cycle, 0),
            kept=((0, 0), (0, 0)),
            prequential_loss=losses[site][cycle - 1] if cycle else 0.0,
            prequential_count=count if cycle else 0,
        )

    def progress(site: str) -> SiteProgress:
        return SiteProgress(site, labels, 0, labels, labels * pace.get(site, 1.0))

    past = [
        CycleRecord(c, {s: report(s, c) for s in losses}, {}, {s: progress(s) for s in losses})
        for c in range(cycles)
    ]
    return [report(s, cycles) for s in losses], past


@pytest.fixture(scope="session")
def tell() -> Callable[..., Course]:
    return course
