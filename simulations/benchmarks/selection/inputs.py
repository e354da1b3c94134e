"""What both sides are given. Imports numpy alone: it runs in the peers' environments, too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

D, C, LABELED, SEED = 512, 10, 500, 7
MEMBERS, ANSWERS = 20, 4
READERS, READS = 12, 3


def write(task: str, folder: Path, n: int) -> None:
    """The arrays of a task with n cases, as .npy files."""
    if task == "batchbald":
        np.save(folder / "mc_probs.npy", members(n))
    elif task == "dawid-skene":
        case, reader, answer, truth = answers(n)
        np.save(folder / "answers.npy", np.stack([case, reader, answer]))
        np.save(folder / "truth.npy", truth)
    else:
        kind = "gaussian" if task == "k-center-gaussian" else "clustered"
        np.save(folder / "features.npy", features(kind, n, D, 1))
        np.save(folder / "labeled.npy", features(kind, LABELED, D, 2))
        probs = np.random.default_rng(3).dirichlet(np.full(C, 0.3), size=n)
        np.save(folder / "probs.npy", probs.astype(np.float32))


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


def members(n: int) -> NDArray[np.float64]:
    """(n, members, answers) probabilities of an ensemble that disagrees more on some cases."""
    rng = np.random.default_rng(4)
    mean = 2 * rng.standard_normal((n, 1, ANSWERS))
    spread = rng.gamma(1.0, 1.0, (n, 1, 1))
    logits = mean + spread * rng.standard_normal((n, MEMBERS, ANSWERS))
    odds = np.exp(logits - logits.max(axis=2, keepdims=True))
    return np.asarray(odds / odds.sum(axis=2, keepdims=True), dtype=np.float64)


def answers(n: int) -> tuple[NDArray[np.int64], ...]:
    """Cases, readers and answers of READS readings each, as three (m,), and the (n,) truth."""
    rng = np.random.default_rng(5)
    truth = rng.choice(ANSWERS, size=n, p=[0.5, 0.25, 0.15, 0.1])
    right = np.linspace(0.45, 0.97, READERS)
    reader = np.argsort(rng.random((n, READERS)), axis=1)[:, :READS].ravel()
    case = np.repeat(np.arange(n), READS)
    wrong = (truth[case] + rng.integers(1, ANSWERS, size=len(case))) % ANSWERS
    answer = np.where(rng.random(len(case)) < right[reader], truth[case], wrong)
    return case, reader, answer, truth
