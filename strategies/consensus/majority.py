"""The label that most readers chose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from protocol.records import Label, Reading
from strategies.consensus.votes import votes


@dataclass(frozen=True, slots=True)
class Majority:
    """Every reader's answer counts the same.

    Let s be the share of a case's answers that name a class.

    With `soft` the target of the class is s, in both kinds of task.

    Without it, in a single-label task the class of the largest s has target 1 and every other 0;
    where several classes have the largest s, each of these has 1 / their number. In a multi-label
    task each class is settled alone: 1 where s > 1/2, 1/2 where s = 1/2, 0 where s < 1/2.

    Attributes:
        multi_label: a case may belong to several classes.
        soft: keep the shares of the answers as probabilities.
    """

    multi_label: bool = False
    soft: bool = False

    def settle(self, readings: Sequence[Reading]) -> Mapping[str, Label]:
        """Labels by vote; see `Consensus`."""
        given = votes(readings, multi_label=self.multi_label)
        if given is None:
            return {}
        shares = given.shares
        if self.soft:
            targets = shares
        elif self.multi_label:
            targets = (1 + np.sign(2 * shares - 1)) / 2  # shares of k/2k are exactly 1/2
        else:
            won = shares == shares.max(axis=1, keepdims=True)  # equal counts divide equally
            targets = won / won.sum(axis=1, keepdims=True)
        return given.labels(targets)
