"""One timed selection in a process of its own, by us or by the peer.

Run with the peer's interpreter this file imports nothing of ours, so that the peer's environment
needs only the peer. Arrays come from .npy files in a folder, picks go back the same way, and one
line of JSON on standard output says the rest.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SEED = 7


def main() -> None:
    """Do the one selection that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side", choices=["ours", "peer", "million"])
    parser.add_argument("task", choices=["k-center", "badge", "badge-own", "gaussian", "clustered"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("k", type=int)
    parser.add_argument("--rows", type=int, default=1_000_000)
    given = parser.parse_args()
    if given.side == "million":
        said = million(given.task, given.rows, given.k)
    else:
        prepare = _ours if given.side == "ours" else _peer
        select = prepare(given.task, given.folder, given.k)
        said, picks = timed(select)
        np.save(given.folder / f"{given.task}-{given.side}.npy", picks)
    print(json.dumps(said))


def timed(select: Callable[[], NDArray[Any]]) -> tuple[dict[str, float], NDArray[np.int64]]:
    """Seconds of one call, of those on the processor, memory before and at the peak, the picks."""
    warm = np.ones((64, 64), dtype=np.float32)
    warm @ warm  # the library's threads and buffers exist before the clock starts
    before = _memory("VmRSS")
    start, busy = time.perf_counter(), time.process_time()
    picks = np.asarray(select(), dtype=np.int64)
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    return {"seconds": seconds, "cpu": busy, "before": before, "peak": _memory("VmHWM")}, picks


def features(kind: str, n: int, d: int, seed: int) -> NDArray[np.float32]:
    """(n, d) features: "gaussian" noise, or "clustered": 40 groups, none below 0."""
    rng = np.random.default_rng(seed)
    x = np.empty((n, d), dtype=np.float32)
    shared = np.random.default_rng(0)
    middles = 2 * shared.standard_normal((40, 32), dtype=np.float32)
    mix = shared.standard_normal((32, d), dtype=np.float32) / 6
    for first in range(0, n, 10_000):
        rows = x[first : first + 10_000]
        rng.standard_normal(out=rows, dtype=np.float32)
        if kind == "clustered":
            hidden = middles[rng.integers(40, size=len(rows))]
            hidden = hidden + rng.standard_normal(hidden.shape, dtype=np.float32)
            rows *= 0.3
            rows += hidden @ mix
            np.maximum(rows, 0, out=rows)
    return x


def million(kind: str, n: int, k: int) -> dict[str, float]:
    """k-center at full size, and how long the machine takes to read the features once."""
    pool = import_module("strategies.pool").Pool
    coreset = import_module("strategies.query").QUERY["coreset"]
    x, labeled = features(kind, n, 512, 1), features(kind, 500, 512, 2)
    one = x[0].copy()
    passes = []
    for _ in range(3):
        start = time.perf_counter()
        x @ one
        passes.append(time.perf_counter() - start)
    cases = pool(n, {"features": x, "labeled_features": labeled})
    said, picks = timed(lambda: coreset().select(cases, k, np.random.default_rng(SEED)))
    return {**said, "pass": min(passes), "bytes": x.nbytes, "distinct": len(set(picks.tolist()))}


def _ours(task: str, folder: Path, k: int) -> Callable[[], NDArray[Any]]:
    query = import_module("strategies.query").QUERY
    kernel = import_module("strategies.query.badge").seed_gradients
    x = np.load(folder / "features.npy")
    rng = np.random.default_rng(SEED)
    if task == "k-center":
        signals = {"features": x, "labeled_features": np.load(folder / "labeled.npy")}
    else:
        signals = {"features": x, "probs": np.load(folder / "probs.npy")}
    cases = import_module("strategies.pool").Pool(len(x), signals)
    if task == "k-center":
        return lambda: query["coreset"]().select(cases, k, rng)
    if task == "badge-own":
        return lambda: query["badge"]().select(cases, k, rng)

    def under_the_peers_rule() -> NDArray[Any]:
        p = cases.require("probs").astype(np.float64)
        cases.require("features")
        p[np.arange(len(p)), p.argmax(axis=1)] -= 1
        return np.asarray(kernel(p, x, k, _peers_draws(len(x)), origin=True))

    return under_the_peers_rule


def _peers_draws(n: int) -> np.random.Generator:
    """A generator of the uniform numbers that the peer draws, given SEED and n unlabeled rows."""
    seed = int(np.random.RandomState(SEED).randint(1, 2**31)) * (n + 1) % 2**31
    bits = np.random.MT19937()
    np.random.RandomState(bits).seed(seed)  # seeds the generator it wraps, in the peer's way
    return np.random.Generator(bits)


def _peer(task: str, folder: Path, k: int) -> Callable[[], NDArray[Any]]:
    peer = import_module("skactiveml.pool")
    x = np.load(folder / "features.npy")
    if task == "k-center":
        labeled = np.load(folder / "labeled.npy")
        both = np.concatenate([x, labeled])
        y = np.concatenate([np.full(len(x), np.nan), np.zeros(len(labeled))])
        query = peer.CoreSet(random_state=SEED)
        return lambda: np.asarray(query.query(both, y, batch_size=k))
    given = _classifier(np.load(folder / "probs.npy"))
    badge = peer.Badge(random_state=SEED)
    nothing = np.full(len(x), np.nan)
    return lambda: np.asarray(badge.query(x, nothing, clf=given, fit_clf=False, batch_size=k))


def _classifier(probs: NDArray[Any]) -> Any:
    """A classifier of the peer's kind that has already predicted."""
    parent = import_module("skactiveml.base").SkactivemlClassifier
    methods = {
        "fit": lambda self, x, y, sample_weight=None: self,
        "predict_proba": lambda self, x: probs,
    }
    return type("Given", (parent,), methods)(classes=list(range(probs.shape[1])))


def _memory(line: str) -> float:
    """Bytes this process holds (VmRSS) or held at most (VmHWM)."""
    try:
        text = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:  # not Linux: only the peak is known
        return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return 1024.0 * int(text.split(line + ":")[1].split()[0])


if __name__ == "__main__":
    main()
