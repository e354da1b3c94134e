"""Stopping: when more readings would hardly change the model. Advice only."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from strategies.stopping.gain_per_hour import GainPerHour
from strategies.stopping.never import Never
from strategies.stopping.rule import Stopping
from strategies.stopping.several import Several
from strategies.stopping.stabilised import Stabilised
from strategies.stopping.uncertainty import OverallUncertainty

STOPPING: Mapping[str, Callable[..., Stopping]] = {
    "gain-per-hour": GainPerHour,
    "never": Never,
    "overall-uncertainty": OverallUncertainty,
    "several": Several,
    "stabilised": Stabilised,
}

__all__ = [
    "STOPPING",
    "GainPerHour",
    "Never",
    "OverallUncertainty",
    "Several",
    "Stabilised",
    "Stopping",
]
