"""What a batch of cases tells of an ensemble, exactly: batches of other picks can be as good."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def worth(probs: NDArray[np.float64], ours: NDArray[np.int64], theirs: NDArray[np.int64]) -> float:
    """What one batch tells over what another does, both summed over their first 1, 2, ... picks.

    Ten good picks tell nearly all there is, whichever they are; the sum also sees the way there.
    """

    def along(picks: NDArray[np.int64]) -> float:
        return sum(information(probs, picks[:n]) for n in range(1, len(picks) + 1))

    return along(ours) / along(theirs)


def information(probs: NDArray[np.float64], picks: NDArray[np.int64]) -> float:
    """The mutual information of the batch's joint answer and the member, in nats.

    Every joint answer is counted, answers to the power of picks of them: 8 MB for ten picks of four
    answers (Kirsch et al., BatchBALD, NeurIPS 2019, equation 8, without its sampling).

    Args:
        probs: (n, members, answers), each row a distribution.
        picks: (k,) rows of the batch.
    """
    batch = probs[picks]
    members = batch.shape[1]
    joint, within = np.zeros(1), 0.0
    for member in range(members):
        told = np.ones(1)
        for answers in batch[:, member]:
            told = np.multiply.outer(told, answers).ravel()
        joint = joint + told / members
        within += _entropy(batch[:, member]) / members
    return _entropy(joint) - within


def _entropy(probs: NDArray[np.float64]) -> float:
    """Summed over all rows, in nats."""
    return float(-np.sum(probs * np.log(np.where(probs > 0, probs, 1.0))))
