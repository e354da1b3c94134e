"""Coverage deficit: by hand, as a contract, and from what sites tell of their clusters."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.records import UNCERTAINTY_BINS, Grant, SiteReport
from strategies.budget import CoverageDeficit
from strategies.budget.coverage_deficit import Clustered, clustered

BINS = (0,) * UNCERTAINTY_BINS
PLAIN = SiteReport("", 100, 0, 0, 99, 0.0, BINS, (50, 50), (0, 0), ((0, 0), (0, 0)))


def tell(site: str, pool: list[int], labels: list[int]) -> Clustered:
    return clustered(replace(PLAIN, site=site), pool, labels)


def shares(
    reports: list[SiteReport], budget: int, floor: int = 0, seed: int = 0
) -> dict[str, Grant]:
    rng = np.random.default_rng(seed)
    return dict(CoverageDeficit(floor=floor).allocate(reports, [], budget, rng))


def counts(reports: list[SiteReport], budget: int, floor: int = 0) -> dict[str, int]:
    return {s: g.count for s, g in shares(reports, budget, floor).items()}


def test_the_deficits_of_clusters_are_divided_by_where_their_cases_are() -> None:
    # 12 labels in 3 clusters, 4 each were even: the second lacks 4 - 1, the third 4 - 2, by thirds
    # of 12 9 and 6. a has 10 of 40 cases of the second, all of the third: 9 / 4 + 6 = 8.25;
    # b 27 / 4 = 6.75. Of 20 readings 11 and 9.
    labels = [9, 1, 2]
    a, b = tell("a", [50, 10, 5], labels), tell("b", [500, 30, 0], labels)
    found = shares([a, b], 20)
    assert {s: g.count for s, g in found.items()} == {"a": 11, "b": 9}
    assert found["a"].reason == (
        "11 of 20: 15 unlabeled cases in the 2 of 3 clusters short of labels, 55% of what these "
        "lack"
    )


def test_before_the_first_label_every_cluster_counts_the_same() -> None:
    none = [0, 0, 0]
    assert counts([tell("a", [9, 7, 0], none), tell("b", [9, 0, 90], none)], 30) == {
        "a": 15,
        "b": 15,
    }
    # a cluster without a case that could be asked for lacks nothing that somebody could give
    assert counts([tell("a", [9, 7, 0], none), tell("b", [9, 0, 0], none)], 20) == {
        "a": 15,
        "b": 5,
    }


def test_without_clusters_or_deficits_the_shares_are_equal() -> None:
    plain = [replace(PLAIN, site=s) for s in "ab"]
    found = shares(plain, 10)
    assert {g.count for g in found.values()} == {5}
    assert "no clusters are told in this cycle" in found["a"].reason
    even = shares([tell("a", [9, 1], [4, 4]), tell("b", [1, 1], [4, 4])], 10)
    assert {g.count for g in even.values()} == {5}
    assert "no cluster lacks labels" in even["a"].reason


def test_a_site_that_told_of_no_cluster_counts_as_the_mean_site() -> None:
    labels = [8, 0]
    sites = [tell("a", [5, 30], labels), tell("b", [5, 10], labels), replace(PLAIN, site="c")]
    found = shares(sites, 60)
    assert {s: g.count for s, g in found.items()} == {"a": 30, "b": 10, "c": 20}
    assert "told of no unlabeled case in a cluster" in found["c"].reason


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (tell("b", [1], [1, 0]), "site 'b' has 1 clusters of cases and the labels (1, 0)"),
        (tell("b", [1, 1], [1, 1]), "accepted are those of all sites, (1, 0)"),
        (tell("b", [5, -1], [1, 0]), "site 'b' has -1 cases in a cluster: accepted is 0 or more"),
    ],
)
def test_clusters_that_cannot_be_are_refused(wrong: Clustered, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        shares([tell("a", [3, 3], [1, 0]), wrong], 4)


@settings(deadline=None, max_examples=80)
@given(data=st.data(), budget=st.integers(0, 90), floor=st.integers(0, 6))
def test_with_clusters_sums_floors_and_caps_are_exact_and_order_plays_no_part(
    data: st.DataObject, budget: int, floor: int
) -> None:
    width = data.draw(st.integers(1, 5))
    row = st.lists(st.integers(0, 20), min_size=width, max_size=width)
    labels = data.draw(row)
    sites: list[SiteReport] = []
    for name in data.draw(st.lists(st.sampled_from("abcde"), unique=True)):
        plain = replace(PLAIN, site=name, capacity=data.draw(st.integers(0, 40)))
        told = data.draw(st.booleans())
        sites.append(clustered(plain, data.draw(row), labels) if told else plain)
    found = counts(sites, budget, floor)
    caps = {r.site: r.capacity for r in sites}
    assert sum(found.values()) == min(budget, sum(caps.values()))
    assert all(found[s] <= caps[s] for s in caps)
    if sum(min(floor, cap) for cap in caps.values()) <= budget:
        assert all(found[s] >= min(floor, caps[s]) for s in caps)
    assert found == counts(sites[::-1], budget, floor)
