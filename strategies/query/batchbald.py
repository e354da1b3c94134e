"""Ask the batch whose answers together tell most about the dropout ensemble."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from protocol.records import Indices
from strategies.pool import Needs, Pool
from strategies.query.bald import Bald
from strategies.query.strategy import check_count, probabilities

_BLOCK = 64
"""Cases measured together."""


@dataclass(frozen=True, slots=True)
class BatchBald:
    """Greedily build the batch with the largest mutual information of its answers and the member.

    Unlike BALD it does not count twice what two cases would both tell. The joint outcomes of the
    batch so far are exact while there are few, classes ** picks <= limit, and drawn after that.
    Multi-label: the information is summed over the classes' own yes-or-no. A pick costs
    O(n members classes outcomes) at most; cases that cannot win are not measured.

    Attributes:
        members: dropout passes over the pool, at least 2.
        limit: joint outcomes that are enumerated, at least 1.
        samples: joint outcomes drawn where there are more, at least 1.

    Source: Kirsch, van Amersfoort and Gal, NeurIPS 2019, algorithm 1; the
    gain is written as expected BALD under the members' posterior, which is the same.
    """

    members: int = 20
    limit: int = 1000
    samples: int = 500

    def __post_init__(self) -> None:
        """Refuse fewer than two members, and no outcomes."""
        Bald(self.members)
        for name, value in (("limit", self.limit), ("samples", self.samples)):
            if value < 1:
                raise ValueError(f"argument '{name}' is {value}; accepted is 1 or more")

    @property
    def needs(self) -> Needs:
        """Probabilities with dropout left on."""
        return Bald(self.members).needs

    def select(self, pool: Pool, k: int, rng: np.random.Generator) -> Indices:
        """The k rows in the order they are picked."""
        check_count(k, pool.size)
        bounds = Bald(self.members).scores(pool)  # the gain of a first pick
        p = probabilities(pool, "mc_probs")
        questions = [np.stack([q, 1 - q], axis=-1) for q in np.moveaxis(p, 2, 0)]
        batches = [
            Batch(q, self.limit, self.samples) for q in (questions if pool.multi_label else [p])
        ]
        return most_informative(batches, bounds, k, rng)


def most_informative(
    batches: list[Batch], bounds: NDArray[np.float64], k: int, rng: np.random.Generator
) -> Indices:
    """Greedy picks of the largest summed gain; equals at random.

    What a case would add only falls as the batch grows, so a case is measured again only while
    its last gain is above the best of this pick. Drawn gains fall so up to the noise of the draw,
    which they have anyway.

    Args:
        batches: one per question asked of every case, all of the same n cases.
        bounds: (n,) what each case tells alone, nats.
        k: 0 <= k <= n.
        rng: orders equal cases, then draws outcomes.
    """
    order = rng.permutation(len(bounds))
    bounds = bounds.copy()
    picks: list[int] = []
    for _ in range(k):
        order = order[np.argsort(-bounds[order], kind="stable")]
        best, pick = -np.inf, -1
        for block in np.split(order, range(_BLOCK, len(order), _BLOCK)):
            if bounds[block[0]] <= best:
                break
            gains = np.sum([b.gains(block) for b in batches], axis=0)
            if gains.max() > best:
                best, pick = float(gains.max()), int(block[gains.argmax()])
            bounds[block] = gains
        picks.append(pick)
        order = order[order != pick]
        for b in batches:
            b.add(pick, rng)
    return np.array(picks, dtype=np.int64)


class Batch:
    """The joint outcomes of the cases picked so far, and what each would say of the members.

    Attributes:
        p: (n, members, answers) probabilities; float32 once outcomes are drawn.
        each: (n, members) entropy of every member's answer, nats.
        limit, samples: see `BatchBald`.
        weights: (outcomes,) probability of every joint outcome, sums to 1.
        posterior: (outcomes, members) of the members after it, rows sum to 1.
        exact: every joint outcome is there.
    """

    def __init__(self, p: NDArray[np.float64], limit: int, samples: int) -> None:
        self.p = p
        self.each: NDArray[np.float64] = entr(p).sum(axis=2)
        self.limit, self.samples = limit, samples
        self.weights = np.ones(1)
        self.posterior = np.full((1, p.shape[1]), 1 / p.shape[1])
        self.exact = True
        self._picks: list[int] = []
        self._truth = np.empty(0, dtype=np.int64)  # (samples,) the member that answers

    def gains(self, rows: Indices) -> NDArray[np.float64]:
        """Expected information that each of these cases adds to the batch, (rows,), nats."""
        p = self.p[rows].transpose(1, 0, 2)  # (members, rows, answers)
        shape = (len(self.weights), len(rows), p.shape[2])
        mixed = self.posterior @ p.reshape(len(p), -1)  # (outcomes, rows * answers)
        said = -(self.weights @ _surprise(mixed)).reshape(shape[1:]).sum(axis=1)
        known = self.each[rows] @ (self.weights @ self.posterior)
        return np.asarray(said - known, dtype=np.float64)

    def add(self, pick: int, rng: np.random.Generator) -> None:
        """Take a case into the batch."""
        self._picks.append(pick)
        if self.exact and len(self.weights) * self.p.shape[2] > self.limit:
            self._draw(rng)
        elif self.exact:
            joint = np.einsum("j,jm,mc->jcm", self.weights, self.posterior, self.p[pick])
            self._settle(joint.reshape(-1, joint.shape[2]))
        else:
            self._answer(pick, rng)

    def _settle(self, joint: NDArray[np.float64]) -> None:
        """Weights and posterior of outcomes from their joint probability with the member."""
        weights = joint.sum(axis=1)
        possible = weights > 0
        self.weights = weights[possible] / weights.sum()
        self.posterior = joint[possible] / weights[possible, None]

    def _draw(self, rng: np.random.Generator) -> None:
        """Leave enumeration: as many outcomes as `samples`, every member as often as any other.

        Single precision from here on: its rounding is far below the noise of the draw.
        """
        self.exact = False
        self.p = self.p.astype(np.float32)
        self._truth = np.arange(self.samples) % self.p.shape[1]
        self.weights = np.full(self.samples, 1 / self.samples, dtype=np.float32)
        self.posterior = np.full(
            (self.samples, self.p.shape[1]), 1 / self.p.shape[1], dtype=np.float32
        )
        for pick in self._picks:
            self._answer(pick, rng)

    def _answer(self, pick: int, rng: np.random.Generator) -> None:
        """Each drawn outcome's member answers one more case."""
        p = self.p[pick]  # (members, answers)
        shares = np.cumsum(p, axis=1)[self._truth]
        draws = rng.random((len(shares), 1)) * shares[:, -1:]
        answers = (shares <= draws).sum(axis=1).clip(max=p.shape[1] - 1)
        joint = self.posterior * p[:, answers].T
        self.posterior = joint / joint.sum(axis=1, keepdims=True)


def _surprise(p: NDArray[Any]) -> NDArray[Any]:
    """p ln p of every element, overwriting p; several times faster than the library's own."""
    np.maximum(p, np.finfo(p.dtype).tiny, out=p)
    logs = np.log(p)
    logs *= p
    return np.asarray(logs)
