"""Our side of every task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.records import Reading
from simulations.benchmarks.selection.inputs import ANSWERS, LABELED, SEED, features
from simulations.benchmarks.selection.timed import Work, timed
from strategies.consensus.dawid_skene import DawidSkene
from strategies.pool import Pool
from strategies.query import QUERY
from strategies.query.badge import seed_gradients


def prepared(task: str, folder: Path, k: int) -> Work:
    """The work of a task, its inputs read."""
    if task == "dawid-skene":
        return _settled(folder)
    if task == "badge":
        return _under_the_peers_rule(folder, k)
    rng = np.random.default_rng(SEED)
    if task == "batchbald":
        p = np.load(folder / "mc_probs.npy")
        cases = Pool(len(p), {"mc_probs": p})
        return lambda: QUERY["batchbald"](members=p.shape[1]).select(cases, k, rng)
    x = np.load(folder / "features.npy")
    if task == "badge-own":
        cases = Pool(len(x), {"features": x, "probs": np.load(folder / "probs.npy")})
        return lambda: QUERY["badge"]().select(cases, k, rng)
    cases = Pool(len(x), {"features": x, "labeled_features": np.load(folder / "labeled.npy")})
    return lambda: QUERY["coreset"]().select(cases, k, rng)


def million(kind: str, n: int, k: int) -> dict[str, float]:
    """k-center at full size, and how long the machine takes to read the features once."""
    x, labeled = features(kind, n, 512, 1), features(kind, LABELED, 512, 2)
    cases = Pool(n, {"features": x, "labeled_features": labeled})
    once = one_pass(x)
    said, picks = timed(lambda: QUERY["coreset"]().select(cases, k, np.random.default_rng(SEED)))
    return {**said, "pass": once, "bytes": x.nbytes, "distinct": len(set(picks.tolist()))}


def one_pass(x: NDArray[np.float32]) -> float:
    """Seconds to read (n, d) features once, the fastest of five: what a pick costs at the least."""
    one = x[0].copy()
    return min(timed(lambda: x @ one)[0]["seconds"] for _ in range(5))


def _settled(folder: Path) -> Work:
    """The most probable answer to each case, in the cases' order."""
    case, reader, answer = np.load(folder / "answers.npy")
    eye = [tuple(int(i == a) for i in range(ANSWERS)) for a in range(ANSWERS)]
    readings = [
        Reading(f"{c:08d}", f"reader {r}", "", 1.0, "answered", eye[a])
        for c, r, a in zip(case, reader, answer, strict=True)
    ]

    def settle() -> NDArray[Any]:
        labels = DawidSkene().settle(readings)
        return np.asarray(np.argmax([labels[key].target for key in sorted(labels)], axis=1))

    return settle


def _under_the_peers_rule(folder: Path, k: int) -> Work:
    """Our seeding with the peer's random draws, and the zero gradient a centre as it is there."""
    x = np.load(folder / "features.npy")
    p = np.load(folder / "probs.npy")

    def select() -> NDArray[Any]:
        q = p.astype(np.float64)
        q[np.arange(len(q)), q.argmax(axis=1)] -= 1
        return np.asarray(seed_gradients(q, x, k, _peers_draws(len(x)), origin=True))

    return select


def _peers_draws(n: int) -> np.random.Generator:
    """A generator of the uniform numbers that scikit-activeml draws, given SEED and n rows."""
    seed = int(np.random.RandomState(SEED).randint(1, 2**31)) * (n + 1) % 2**31
    bits = np.random.MT19937()
    np.random.RandomState(bits).seed(seed)  # seeds the generator it wraps, in the peer's way
    return np.random.Generator(bits)
