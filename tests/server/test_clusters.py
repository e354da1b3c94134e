"""The federation's clusters in the course of a study: what is told, handed out, and refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from typing import Any

import numpy as np
import pytest

from client import scored_pool
from client.dispatch import answer
from client.opening import open_home
from client.store.step_shelf import StepRefused
from protocol.clusters import CENTRES, TAKE, TELL, TURNS, SiteClusters
from protocol.egress import Asking, KeptBack, described, release
from protocol.records import Grant, StepKey
from protocol.steps import Code, StepRequest
from protocol.study import StudyError
from server.events import Event
from server.ledger import Ledger, Stage
from server.merging import merged
from simulations.replay import reallocated
from strategies.chosen import decisions

World = Any
CLUSTERS = (
    "query.strategy=federated-typiclust",
    "query.arguments.clusters=6",
    "budget.total=48",
    "budget.per_cycle=24",
    "training.rounds_per_cycle=2",
)


@pytest.fixture(scope="module")
def pools() -> tuple[int, ...]:
    return (40, 60, 24)


def ledger_of(made: World) -> Ledger:
    return Ledger.look(made.folder / "server" / "ledger.db")


@pytest.mark.slow
def test_each_site_gets_the_same_clusters_and_an_order_of_its_own(
    world: Callable[..., World], pools: tuple[int, ...]
) -> None:
    made = world(*CLUSTERS, pools=pools)
    made.run()
    ledger = ledger_of(made)
    with closing(ledger.connection):
        assert ledger.records(Stage(0, "cluster", TELL), SiteClusters) is None  # the cold start
        told = ledger.records(Stage(1, "cluster", TELL), SiteClusters)
        taken = ledger.records(Stage(1, "cluster", TAKE), SiteClusters)
    assert told is not None
    assert taken is not None
    for name, size in zip(told, pools, strict=True):
        assert all(count >= 5 for count in told[name].cases)
        assert sum(told[name].cases) <= size
        assert not taken[name].cases
    centres, turns = [], []
    for home in made.homes.values():
        scored = scored_pool.read(home, made.study.identity, 1)
        assert scored is not None
        centres.append(scored.signals["cluster_centres"])
        turns.append(scored.signals["cluster_turns"].tolist())
    assert 1 <= len(centres[0]) <= 6
    assert all(np.array_equal(centres[0], other) for other in centres)
    assert all(sorted(order) == list(range(len(centres[0]))) for order in turns)
    assert len({tuple(order) for order in turns}) > 1
    assert "SiteClusters" in {row.record for row in described(made.study, 100)}


@pytest.mark.slow
def test_coverage_deficit_shares_by_the_clusters_and_is_recomputed_from_the_ledger(
    world: Callable[..., World], pools: tuple[int, ...]
) -> None:
    made = world(*CLUSTERS, "budget.policy=coverage-deficit", pools=pools)
    made.run()
    ledger = ledger_of(made)
    with closing(ledger.connection):
        first, second = (ledger.records(Stage(c, "allocate"), Grant) or {} for c in (0, 1))
        told = ledger.records(Stage(1, "cluster", TELL), SiteClusters)
        assert told is not None
        clusters = merged(made.study, 1, ledger.sites(), told)
    assert clusters is not None
    assert clusters.labels.sum() <= 24  # of the first cycle; those in small clusters are not told
    assert all("no clusters are told in this cycle" in g.reason for g in first.values())
    for site, cases, labels in zip(second, clusters.cases, clusters.labels, strict=True):
        said = re.search(
            r"(\d+) unlabeled cases in the (\d+) of (\d+) clusters", second[site].reason
        )
        assert said is not None, second[site].reason
        assert int(said[3]) == len(clusters.centres)
        assert int(said[1]) <= (cases - labels).sum()
    again = reallocated(made.folder / "server" / "ledger.db", "coverage-deficit")
    assert [(r.instead, r.reason) for r in again] == [
        (g.count, g.reason) for g in (*first.values(), *second.values())
    ]


@pytest.mark.slow
def test_killed_between_the_exchanges_it_goes_on_with_the_same_bits(
    world: Callable[..., World], pools: tuple[int, ...]
) -> None:
    whole = world(*CLUSTERS, name="whole", pools=pools)
    whole.run()
    broken = world(*CLUSTERS, name="broken", pools=pools)

    def killed(event: Event) -> None:
        if event.step == "cluster" and event.round == TELL:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken.run(notify=killed)
    broken.run()
    assert broken.ledger() == whole.ledger()
    assert broken.openings() == whole.openings()


@pytest.mark.slow
def test_a_site_takes_no_clusters_that_do_not_fit(
    world: Callable[..., World], pools: tuple[int, ...]
) -> None:
    made = world(*CLUSTERS, pools=pools)
    made.run()
    name, home = next(iter(made.homes.items()))
    site = open_home(home)
    scored = scored_pool.read(home, made.study.identity, 1)
    assert scored is not None
    width = scored.signals["features"].shape[1]
    good, order = np.zeros((2, width), np.float32), np.array([1, 0])
    for number, arrays in enumerate(
        (
            {},
            {CENTRES: good},
            {CENTRES: good[:, 1:], TURNS + name: order},
            {CENTRES: good, TURNS + name: np.array([1, 1])},
            {CENTRES: np.full_like(good, np.nan), TURNS + name: order},
        )
    ):
        key = StepKey(made.study.identity, 1, "cluster", TAKE, 0)
        site.store.connection.execute("DELETE FROM steps")  # as if it had not been asked before
        with pytest.raises(StepRefused) as refused:
            answer(site, StepRequest(key, 9 + number, arrays))
        assert refused.value.code == Code.BAD_REQUEST
    site.store.close()


@pytest.mark.slow
def test_another_study_is_asked_for_none(world: Callable[..., World]) -> None:
    made = world(name="other")
    made.run()
    site = open_home(next(iter(made.homes.values())))
    with pytest.raises(StepRefused) as refused:
        answer(site, StepRequest(StepKey(made.study.identity, 0, "cluster", TELL), 9))
    assert refused.value.code == Code.BAD_REQUEST
    site.store.close()
    assert "SiteClusters" not in {row.record for row in described(made.study, 100)}


@pytest.mark.parametrize("cases", [(5, 4), (5, -1)])
def test_the_gate_keeps_small_clusters_back(
    world: Callable[..., World], cases: tuple[int, ...]
) -> None:
    study = world(*CLUSTERS).study
    means = np.zeros((2, 3), np.float32)
    release(SiteClusters("north", means, (5, 9), (0, 9)), Asking("north", study))
    with pytest.raises(KeptBack, match="cases"):
        release(SiteClusters("north", means, cases, (0, 0)), Asking("north", study))
    with pytest.raises(KeptBack, match="labels"):
        release(SiteClusters("north", means, (5, 9), (6, 0)), Asking("north", study))
    with pytest.raises(KeptBack, match="means"):
        release(SiteClusters("north", means + 2, (5, 9), (0, 0)), Asking("north", study))


@pytest.mark.parametrize(
    ("key", "also"),
    [
        ("query.strategy", "privacy.epsilon=8.0"),
        ("query.cold_start", "privacy.epsilon=8.0"),
        ("query.strategy", "aggregation.secure=true"),
    ],
)
def test_means_of_features_leave_no_study_that_is_private_or_masked(
    world: Callable[..., World], key: str, also: str
) -> None:
    warm = ("audit.patients=0.4", "training.start=warm")
    with pytest.raises(StudyError, match=f"{key} = 'federated-typiclust'"):
        decisions(world(f"{key}=federated-typiclust", also, *warm).study, False)
