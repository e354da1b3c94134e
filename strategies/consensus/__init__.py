"""Consensus: how the readings of a case become its label."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from strategies.consensus.consensus import Consensus
from strategies.consensus.dawid_skene import DawidSkene
from strategies.consensus.majority import Majority

CONSENSUS: Mapping[str, Callable[..., Consensus]] = {
    "dawid-skene": DawidSkene,
    "majority": Majority,
}

__all__ = ["CONSENSUS", "Consensus", "DawidSkene", "Majority"]
