"""What the model says of the cases that are being opened, for readers who have answered."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from client import kept_model
from client.images import Unreadable
from client.site import Site
from client.steps.outcome import decided, resident, strategy_of
from client.steps.pixels import readable
from client.store.opinion_shelf import Opinion
from client.store.reading_shelf import Opening
from protocol.records import Arrays, StepKey
from protocol.study import Study
from strategies.query.words import AT_RANDOM, why

_AT_ONCE = 64
"""Cases whose pixels are in memory at a time."""


def opinions(
    site: Site, study: Study, key: StepKey, openings: Sequence[Opening]
) -> tuple[Opinion, ...]:
    """One opinion for each case whose pixels can be read; none in a study that shows none.

    Of an audit case the model is asked here alone, and nothing steers by it.
    """
    if study.reading.show_ai == "never" or not openings:
        return ()
    arrays = kept_model.read(site.home, key.study, key.cycle)
    if arrays is None:
        return ()
    found: list[Opinion] = []
    try:
        for i in range(0, len(openings), _AT_ONCE):
            found += _of_some(site, study, key, openings[i : i + _AT_ONCE], arrays)
    except Unreadable:  # the whole source is away: readers do without, and the study goes on
        return ()
    return tuple(found)


def _of_some(
    site: Site, study: Study, key: StepKey, openings: Sequence[Opening], arrays: Arrays
) -> list[Opinion]:
    from client.learning.saliency import maps  # brings torch
    from client.learning.score import predict

    ids = np.array([o.case for o in openings], dtype=np.int64)
    kept, images = readable(site, study, ids)
    asked = [o for o, there in zip(openings, kept, strict=True) if there]
    network = resident(study, arrays)
    probs = predict(network, images, task=study.task).probs
    for row, opening in enumerate(asked):
        if opening.probs is not None:  # what it said of the whole pool; a bit may differ
            probs[row] = opening.probs
    shown = maps(network, study.network, images, probs.argmax(axis=1).astype(np.int64))
    reason = _Reason(site, study, key)
    return [
        Opinion(o.case, tuple(p.tolist()), reason.of(o, p), *_packed(seen))
        for o, p, seen in zip(asked, probs, shown, strict=True)
    ]


class _Reason:
    """Why cases of one select step were asked for, in words."""

    def __init__(self, site: Site, study: Study, key: StepKey) -> None:
        asked = strategy_of(site, study, key.cycle)
        cold = asked is decided(site, study).cold_start
        self.name = study.query.cold_start if cold else study.query.strategy
        self.needs = asked.needs
        query = study.query
        self.varied = bool(query.cold_start_arguments if cold else query.arguments)
        self.task = study.task

    def of(self, opening: Opening, probs: NDArray[np.float64]) -> str:
        if opening.purpose != "query":
            return AT_RANDOM
        names, multi = self.task.names, self.task.multi_label
        return why(self.name, self.needs, probs, names, multi=multi, varied=self.varied)


def _packed(seen: NDArray[np.uint8]) -> tuple[bytes, int]:
    """A map as it is kept; empty where no place speaks for the class."""
    return (seen.tobytes(), len(seen)) if seen.any() else (b"", 0)
