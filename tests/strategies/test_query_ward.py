"""Our own strategy: the hand-over, the turns, both mixes against their parts and plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from strategies.pool import PER_CASE, NotFinite, Pool
from strategies.query.coreset import CoreSet
from strategies.query.fedal import FedAl
from strategies.query.kmeans import k_means
from strategies.query.logo import LoGo
from strategies.query.ward import Ward, handed_over, of_spread_1, phases, turns_of

SEEDS = st.integers(0, 2**32 - 1)
N, C = 50, 3


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def drawn(seed: int, m: int = 9) -> dict[str, NDArray[Any]]:
    r = rng(seed)
    signals: dict[str, NDArray[Any]] = {
        "features": r.standard_normal((N, 4)),
        "labeled_features": r.standard_normal((m, 4)),
        "labeled_targets": np.eye(C)[r.integers(C, size=m)],
        "looks": r.random((N, 6)).astype(np.float32),
        "head_weights": r.standard_normal((C, 4)),
        "head_bias": r.standard_normal(C),
    }
    for before in ("", "local_", "scratch_"):
        signals[before + "probs"] = r.dirichlet(np.ones(C), size=N)
        signals[before + "logits"] = r.standard_normal((N, C))
        signals[before + "features"] = signals.get(before + "features", r.standard_normal((N, 4)))
    return signals


def pool_of(signals: dict[str, NDArray[Any]]) -> Pool:
    return Pool(N, signals)


@pytest.mark.parametrize(
    ("labels", "warm", "w"),
    [(8, (8, 24), 0), (16, (8, 24), 0.5), (24, (8, 24), 1), (40, (8, 24), 1), (5, (5, 5), 1)],
)
def test_the_hand_over_grows_with_the_labels(labels: int, warm: Any, w: float) -> None:
    assert handed_over(labels, warm) == w


def test_the_default_is_what_was_confirmed() -> None:
    confirmed = Ward(
        warm=(0, 0),
        mix="split",
        own="head",
        space="looks",
        doubt="global",
        classes="ensemble",
        balance=0.5,
    )
    assert Ward() == confirmed


def test_a_share_of_the_picks_is_warm_evenly_and_right_on_average() -> None:
    starts = [phases(7, 0.3, rng(s)) for s in range(400)]
    assert {int(p.sum()) for p in starts} == {2, 3}
    assert np.mean([p.sum() for p in starts]) == pytest.approx(2.1, abs=0.1)
    assert phases(4, 0.0, rng()).sum() == 0
    assert phases(4, 1.0, rng()).sum() == 4


def test_turns_go_to_the_class_with_fewest_labels_and_a_share_to_any() -> None:
    groups = np.array([0] * 6 + [1] * 6 + [2] * 2)
    turns = turns_of(groups, np.array([3, 1, 0, 0]), 8, 1.0, rng())
    assert np.bincount(turns, minlength=3).tolist() == [2, 4, 2]  # class 2 has no more
    assert turns[0] == 2
    half = turns_of(groups, np.array([3, 1, 0, 0]), 8, 0.5, rng())
    assert (half < 0).tolist() == [True, False] * 4
    assert (turns_of(groups, np.array([3, 1, 0, 0]), 8, 0.0, rng()) == -1).all()


@settings(max_examples=25)
@given(SEEDS)
def test_cold_and_of_any_class_it_is_coreset(seed: int) -> None:
    pool = pool_of(drawn(seed))
    wanted = CoreSet().select(pool, 12, rng())
    for mix in ("split", "product"):
        ours = Ward(warm=(99, 99), balance=0.0, mix=mix, own="scratch").select(pool, 12, rng())
        assert ours.tolist() == wanted.tolist()


@settings(max_examples=25)
@given(SEEDS)
def test_warm_and_of_any_class_a_split_is_logo(seed: int) -> None:
    pool = pool_of(drawn(seed))
    logo = Ward(balance=0.0, own="scratch", space="gradients")
    ours = logo.select(pool, 12, rng(1))
    seeds = rng(1)
    seeds.permutation(C + 1)  # of the turns
    seeds.random()  # of the phases
    assert ours.tolist() == LoGo().select(pool, 12, seeds).tolist()


@settings(max_examples=25)
@given(SEEDS)
def test_warm_by_looks_it_takes_the_most_doubtful_of_every_cluster_of_images(seed: int) -> None:
    signals = drawn(seed)
    ours = Ward(warm=(0, 0), balance=0.0, own="none", space="looks").select(
        pool_of(signals), 8, rng(1)
    )
    seeds = rng(1)
    seeds.permutation(C + 1)  # of the turns
    seeds.random()  # of the phases
    assigned = k_means(signals["looks"], 8, seeds, 20).assigned
    p = signals["probs"]
    doubt = -(p * np.log(p)).sum(axis=1)
    wanted = {int(max(np.flatnonzero(assigned == c), key=doubt.__getitem__)) for c in set(assigned)}
    assert set(ours.tolist()) == wanted


def test_both_spaces_weigh_alike_whatever_their_scale() -> None:
    signals = drawn(4)
    own = Ward(warm=(0, 0), own="none", space="both")
    found = own.select(pool_of(signals), 9, rng())
    larger = {**signals, "looks": signals["looks"] * np.float32(64) + 3}
    assert own.select(pool_of(larger), 9, rng()).tolist() == found.tolist()
    assert (of_spread_1(signals["looks"]) ** 2).sum() == pytest.approx(N, rel=1e-5)
    assert not of_spread_1(np.ones((4, 2), np.float32)).any()


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        ({"own": "none", "space": "looks"}, {"looks"}),
        ({"own": "head", "space": "looks"}, {"looks", "head_weights", "head_bias"}),
        ({"own": "none", "space": "both"}, {"looks"}),
        ({"own": "scratch", "space": "both"}, {"looks", "scratch_probs", "scratch_features"}),
        ({}, {"looks", "head_weights", "head_bias"}),
    ],
)
def test_what_it_needs_beside_the_global_model(arguments: Any, needed: set[str]) -> None:
    always = {"probs", "features", "labeled_features", "labeled_targets"}
    assert Ward(**arguments).needs.signals == always | needed


@settings(max_examples=25)
@given(SEEDS, st.sampled_from([0.0, 0.5, 1.0]))
def test_a_product_is_its_plain_loop(seed: int, balance: float) -> None:
    signals = drawn(seed)
    pool = pool_of(signals)
    strategy = Ward(mix="product", warm=(6, 12), own="local", doubt="ensemble", balance=balance)
    picks = strategy.select(pool, 10, rng(3)).tolist()
    u = FedAl().scores(pool)
    groups = (signals["probs"] + signals["local_probs"]).argmax(axis=1)
    have = signals["labeled_targets"].sum(axis=0).astype(int)
    turns = turns_of(groups, np.append(have, 0), 10, balance, rng(3))
    centres, wanted = list(signals["labeled_features"]), []
    for c in turns.tolist():
        best, row = -1.0, -1
        for i in range(N):
            if i in wanted or (c >= 0 and groups[i] != c):
                continue
            d = min(float(((signals["features"][i] - z) ** 2).sum()) for z in centres)
            if (gain := d * (0.5 + 0.5 * u[i] / u.max())) > best:
                best, row = gain, i
        wanted.append(row)
        centres.append(signals["features"][row])
    assert picks == wanted


@pytest.mark.parametrize("mix", ["split", "product"])
@pytest.mark.parametrize("classes", ["ensemble", "prototype"])
@settings(max_examples=15)
@given(seed=SEEDS, k=st.integers(0, N), m=st.integers(0, 30), balance=st.floats(0, 1))
def test_k_distinct_rows_whatever_is_asked(
    mix: Any, classes: Any, seed: int, k: int, m: int, balance: float
) -> None:
    strategy = Ward(mix=mix, classes=classes, balance=balance, doubt="disagreement")
    picks = strategy.select(pool_of(drawn(seed, m)), k, rng(seed))
    assert len(set(picks.tolist())) == len(picks) == k
    assert set(picks.tolist()) <= set(range(N))


@settings(max_examples=25)
@given(SEEDS)
def test_a_permuted_pool_gives_the_permuted_product(seed: int) -> None:
    signals = drawn(seed)
    order = rng(seed + 1).permutation(N)
    moved = {n: a[order] if n in PER_CASE else a for n, a in signals.items()}
    strategy = Ward(mix="product")
    plain = strategy.select(pool_of(signals), 10, rng(1))
    permuted = strategy.select(pool_of(moved), 10, rng(1))
    assert order[permuted].tolist() == plain.tolist()


def test_it_asks_most_for_the_class_without_labels() -> None:
    signals = drawn(4)
    signals["labeled_targets"] = np.eye(C)[[0] * 5 + [1] * 4]
    groups = (signals["probs"] + signals["scratch_probs"]).argmax(axis=1)
    for mix in ("split", "product"):
        picks = Ward(mix=mix, own="scratch", balance=1.0).select(pool_of(signals), 5, rng())
        assert groups[picks].tolist().count(2) >= 4


def test_it_needs_only_what_its_mix_and_model_look_at() -> None:
    assert Ward().needs.models == {"global"}
    assert Ward(own="scratch").needs.models == {"global", "scratch"}
    assert Ward(own="local").needs.models == {"global", "local"}
    assert len(Ward(own="none").select(pool_of(drawn(1)), 9, rng())) == 9
    old = Ward(own="scratch", space="gradients").needs.signals
    assert old - Ward(own="scratch", mix="product").needs.signals == {"scratch_features"}


def test_distances_that_overflow_are_refused() -> None:
    signals = drawn(1)
    signals |= {n: (a * 1e25).astype(np.float32) for n, a in signals.items() if "features" in n}
    for mix in ("split", "product"):
        with pytest.raises(NotFinite, match="squared"), np.errstate(all="ignore"):
            Ward(mix=mix, own="none", space="gradients").select(pool_of(signals), 5, rng())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"warm": (9.0, 8.0)}, "'warm' is"),
        ({"warm": (-1.0, 8.0)}, "accepted is two finite numbers from 0, rising"),
        ({"warm": (np.inf, np.inf)}, "'warm' is .inf, inf.; accepted is two finite numbers"),
        ({"warm": (np.nan, 8.0)}, "accepted is two finite numbers"),
        ({"warm": (1.0, 2.0, 3.0)}, "accepted is two finite numbers"),
        ({"balance": 1.5}, "'balance' is 1.5; accepted is 0 to 1"),
        ({"balance": np.nan}, "'balance' is nan; accepted is 0 to 1"),
        ({"mix": "x"}, "'mix' is 'x'; accepted is one of split, product"),
        ({"own": "global"}, "'own' is 'global'; accepted is one of local, scratch, head, none"),
        ({"space": None}, "'space' is None; accepted is one of gradients, looks, both"),
        ({"doubt": "Global"}, "accepted is one of global, ensemble, disagreement"),
        ({"classes": ["ensemble"]}, "accepted is one of ensemble, prototype"),
    ],
)
def test_what_cannot_be_handed_over_is_refused(arguments: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Ward(**arguments)
