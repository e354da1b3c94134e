"""Sites that send another update than the one they trained.

The strengths are those of the literature: a boosted update as long as the whole federation
(Bagdasaryan et al., AISTATS 2020), a reversed one (Damaskinos et al., ICML 2018).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.site import Site
from protocol.records import Arrays, SiteUpdate
from protocol.seeds import Purpose, generator
from protocol.steps import Reply, StepRequest
from protocol.study import Study
from simulations.attacks.attack import Forgery

_NOISE = 1e-6  # of a free-rider's arrays: equal ones would be seen at a glance


def stretched(times: float) -> Forgery:
    """The site's own change of the model, so many times as long; a negative number reverses it."""

    def forged(site: Site, study: Study, request: StepRequest, reply: Reply) -> Reply:
        if not isinstance(reply, SiteUpdate):
            return reply
        return replace(reply, arrays=moved(request.arrays, reply.arrays, times))

    return forged


def noise(site: Site, study: Study, request: StepRequest, reply: Reply) -> Reply:
    """Random arrays, as spread as the global ones, in place of the trained ones."""
    if not isinstance(reply, SiteUpdate):
        return reply
    rng = _rng(study, site, request)
    arrays = {
        name: _like(array, rng.standard_normal(array.shape) * (float(np.std(array)) + 0.1))
        for name, array in request.arrays.items()
    }
    return replace(reply, arrays=arrays)


def free_ride(site: Site, study: Study, request: StepRequest, reply: Reply) -> Reply:
    """The global arrays as they came, all but unseen noise, with the weight of work done."""
    if not isinstance(reply, SiteUpdate):
        return reply
    rng = _rng(study, site, request)
    arrays = {
        name: _like(array, array + _NOISE * rng.standard_normal(array.shape))
        for name, array in request.arrays.items()
    }
    return replace(reply, arrays=arrays, weight=max(reply.weight, 1.0))


def withhold(site: Site, study: Study, request: StepRequest, reply: Reply) -> Reply:
    """Nothing: the global arrays as they came, of no weight, as of a site without labels."""
    if not isinstance(reply, SiteUpdate):
        return reply
    return replace(reply, arrays=request.arrays, weight=0.0, loss=0.0, steps=0)


def moved(start: Arrays, end: Arrays, times: float) -> Arrays:
    """The arrays so many times as far from the start, in their own types."""
    found = {}
    for name, array in end.items():
        old = np.asarray(start[name], dtype=np.float64)
        found[name] = _like(array, old + times * (np.asarray(array, dtype=np.float64) - old))
    return found


def _like(array: NDArray[Any], values: NDArray[np.float64]) -> NDArray[Any]:
    """The values in the array's type, whole numbers rounded, never beyond what it holds."""
    if array.dtype.kind != "f":
        return np.asarray(array)
    most = float(np.finfo(array.dtype).max)
    near: NDArray[Any] = np.clip(values, -most, most).astype(array.dtype)
    return near


def _rng(study: Study, site: Site, request: StepRequest) -> np.random.Generator:
    key = request.key
    return generator(study.seed, site.number, key.cycle, key.round, Purpose.ATTACK)
