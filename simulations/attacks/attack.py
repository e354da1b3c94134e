"""What an attack is: the little that one site of a simulation does otherwise than honest ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from client.site import Site
from protocol.steps import Reply, StepRequest
from protocol.study import Study

Belief: TypeAlias = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
"""(classes,) what the site's readers take for the truth, of the (classes,) truth."""

Forgery: TypeAlias = Callable[[Site, Study, StepRequest, Reply], Reply]
"""What the site sends, of what its honest software would have sent."""


def honestly(truth: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The truth."""
    return truth


def unchanged(site: Site, study: Study, request: StepRequest, reply: Reply) -> Reply:
    """The reply of the honest software."""
    return reply


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack; deterministic, so that an interrupted run goes on with the same bits.

    Attributes:
        words: what it does, for the report.
        belief: of the site's readers.
        forgery: of the site's replies.
        backdoor: it aims at images with the trigger, and its success is measured on them.
    """

    words: str
    belief: Belief = honestly
    forgery: Forgery = unchanged
    backdoor: bool = False
