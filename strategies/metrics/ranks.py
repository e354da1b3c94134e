"""Rank metrics of all sites' cases together, from fine counts and the sites' own exact values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from strategies.metrics import curves
from strategies.metrics.sums import Float

if TYPE_CHECKING:
    from protocol.records import Evaluation
    from protocol.sections import Task


def pooled_ranks(parts: Sequence[Evaluation], task: Task) -> dict[str, Float]:
    """AUROC, AUPRC and sensitivity of all cases together, each a mean over the scored classes.

    Pairs of a positive and a negative in different bins are ordered exactly. Those in one bin are
    won as often as the sites' own such pairs are, which each site's exact AUROC tells; a young
    model, whose scores lie close together, has many of them. With all scores in one bin the AUROC
    is the mean of the sites' own, weighted by their pairs.
    """
    total = np.sum([part.fine for part in parts], axis=0)
    groups = _groups(total)
    won, tied = _pairs(groups)
    share = _share_won(parts)
    if math.isnan(share):
        auroc = curves.binned_auroc(groups).mean(axis=-1)
    else:
        auroc = np.mean(won + share * tied)
    return {
        "auroc": np.asarray(auroc),
        "auprc": curves.mixed_average_precision(groups).mean(axis=-1),
        "sensitivity": curves.sensitivity_at(groups, task.specificity).mean(axis=-1),
    }


def _share_won(parts: Sequence[Evaluation]) -> float:
    """Of the pairs within one bin of one site, how many that site orders right; NaN without any."""
    right = pairs = 0.0
    for part in parts:
        exact = part.estimates["auroc"]
        if math.isnan(exact):
            continue
        won, tied = _pairs(_groups(part.fine))
        if tied.mean() > 0:
            share = min(max((exact - won.mean()) / tied.mean(), 0.0), 1.0)
            count = float((part.fine[:, 0] * part.fine[:, 1]).sum())
            right += share * count
            pairs += count
    return right / pairs if pairs else math.nan


def _groups(fine: Float) -> curves.Ranking:
    """(K, 2, bins) counts as groups of scores, highest first."""
    return curves.ranking(fine[:, 0, ::-1], fine[:, 1, ::-1])


def _pairs(groups: curves.Ranking) -> tuple[Float, Float]:
    """Shares of all pairs won across bins, and tied within one, (K,) each; NaN without a side."""
    tied = np.einsum("...g,...g->...", groups.pos, groups.neg)
    found = np.einsum("...g,...g->...", groups.found, groups.neg)
    pairs = groups.found[..., -1] * groups.false[..., -1]
    return curves.ratio(found - tied, pairs), curves.ratio(tied, pairs)
