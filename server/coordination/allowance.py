"""How much a site may say in a time: a bucket that refills steadily."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import grpc

from server.coordination.refusal import Refusal

BURST, PER_SECOND = 200.0, 20.0  # a quiet site says one thing in twenty seconds
OPENING = 10.0  # what a new stream costs, in messages: it writes more


@dataclass(slots=True)
class Allowance:
    """What is left to one site."""

    left: float = BURST
    at: float = field(default_factory=time.monotonic)

    def take(self, cost: float = 1.0) -> None:
        """Spend some of it.

        Raises:
            Refusal: there is not so much left.
        """
        moment = time.monotonic()
        self.left = min(BURST, self.left + (moment - self.at) * PER_SECOND)
        self.at = moment
        if self.left < cost:
            raise Refusal(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"more than {PER_SECOND:.0f} messages a second for too long",
            )
        self.left -= cost
