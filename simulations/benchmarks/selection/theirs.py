"""The peers' side of every task, each in its own environment: nothing of ours but the inputs."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulations.benchmarks.selection.inputs import SEED
from simulations.benchmarks.selection.timed import Work

DRAWS = 500
"""Joint outcomes that every BatchBALD draws where they are too many to count, as ours does."""


def scikit_activeml(task: str, folder: Path, k: int) -> Work:
    """k-center, BADGE and BatchBALD of scikit-activeml."""
    peer = import_module("skactiveml.pool")
    if task == "batchbald":
        batch_bald = import_module("skactiveml.pool._bald").batch_bald
        p = np.load(folder / "mc_probs.npy").swapaxes(0, 1).copy()
        return lambda: np.nanargmax(batch_bald(p, k, DRAWS, random_state=SEED), axis=1)
    x = np.load(folder / "features.npy")
    if task == "badge":
        given = _classifier(np.load(folder / "probs.npy"))
        badge, nothing = peer.Badge(random_state=SEED), np.full(len(x), np.nan)
        return lambda: np.asarray(badge.query(x, nothing, clf=given, fit_clf=False, batch_size=k))
    labeled = np.load(folder / "labeled.npy")
    both = np.concatenate([x, labeled])
    y = np.concatenate([np.full(len(x), np.nan), np.zeros(len(labeled))])
    query = peer.CoreSet(random_state=SEED)
    return lambda: np.asarray(query.query(both, y, batch_size=k))


def small_text(task: str, folder: Path, k: int) -> Work:
    """k-center of small-text, whose pool must come before what is labeled."""
    greedy = import_module("small_text.query_strategies.coresets").greedy_coreset
    x, labeled = np.load(folder / "features.npy"), np.load(folder / "labeled.npy")
    both = np.concatenate([x, labeled])
    pool, rest = np.arange(len(x)), np.arange(len(x), len(both))
    return lambda: np.asarray(greedy(both, pool, rest, k, distance_metric="euclidean"))


def deepal(task: str, folder: Path, k: int) -> Work:
    """k-center by the matrix of all distances, as DeepAL's published code does it."""
    x, labeled = np.load(folder / "features.npy"), np.load(folder / "labeled.npy")
    return lambda: of_all_distances(np.concatenate([x, labeled]), len(x), k)


def of_all_distances(x: NDArray[Any], n: int, k: int) -> NDArray[np.int64]:
    """Greedy k-center over the first n rows; the others are labeled. O((n + labeled)^2) memory.

    Every step of the published loop is kept: the matrix, its copy, and a copy more for each pick.
    """
    squares = np.einsum("ij,ij->i", x, x)
    far = np.sqrt(np.maximum(squares[:, None] + squares[None] - 2 * x @ x.T, 0))
    open_rows = np.arange(n)
    mat = far[:n][:, n:]
    picks = []
    for _ in range(k):
        place = int(mat.min(axis=1).argmax())
        pick = int(open_rows[place])
        picks.append(pick)
        open_rows = np.delete(open_rows, place)
        mat = np.delete(mat, place, 0)
        mat = np.append(mat, far[open_rows, pick][:, None], axis=1)
    return np.array(picks, dtype=np.int64)


def baal(task: str, folder: Path, k: int) -> Work:
    """BatchBALD of baal."""
    heuristic = import_module("baal.active.heuristics").BatchBALD
    p = np.load(folder / "mc_probs.npy").swapaxes(1, 2)
    return lambda: np.asarray(heuristic(num_samples=k, num_draw=DRAWS)(p))[:k]


def batchbald_redux(task: str, folder: Path, k: int) -> Work:
    """BatchBALD of its authors' own library."""
    torch = import_module("torch")
    batch = import_module("batchbald_redux.batchbald").get_batchbald_batch
    log = torch.from_numpy(np.log(np.load(folder / "mc_probs.npy")))
    return lambda: np.asarray(batch(log, k, DRAWS, dtype=torch.double).indices)


def crowd_kit(task: str, folder: Path, k: int) -> Work:
    """Dawid-Skene of crowd-kit: the most probable answer to each case, in the cases' order."""
    frame = import_module("pandas").DataFrame
    model = import_module("crowdkit.aggregation").DawidSkene
    case, reader, answer = np.load(folder / "answers.npy")
    table = frame({"task": case, "worker": reader, "label": answer})
    return lambda: np.asarray(model(n_iter=100).fit_predict(table).sort_index())


def _classifier(probs: NDArray[Any]) -> Any:
    """A classifier of scikit-activeml's kind that has already predicted."""
    parent = import_module("skactiveml.base").SkactivemlClassifier
    methods = {
        "fit": lambda self, x, y, sample_weight=None: self,
        "predict_proba": lambda self, x: probs,
    }
    return type("Given", (parent,), methods)(classes=list(range(probs.shape[1])))


THEIRS: dict[str, Callable[[str, Path, int], Work]] = {
    "scikit-activeml": scikit_activeml,
    "small-text": small_text,
    "deepal": deepal,
    "baal": baal,
    "batchbald-redux": batchbald_redux,
    "crowd-kit": crowd_kit,
}
