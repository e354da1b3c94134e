"""Stopping: when more readings would hardly change the model. Advice only."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from strategies.stopping.never import Never
from strategies.stopping.rule import Stopping
from strategies.stopping.stabilised import Stabilised

STOPPING: Mapping[str, Callable[..., Stopping]] = {
    "never": Never,
    "stabilised": Stabilised,
}

__all__ = ["STOPPING", "Never", "Stabilised", "Stopping"]
