"""Agreement: how far readers say the same of the same cases, beyond chance, with intervals."""

from __future__ import annotations

from strategies.agreement.answers import MISSING, Answers, answers, tables
from strategies.agreement.cohen import cohen
from strategies.agreement.estimate import Estimate
from strategies.agreement.krippendorff import krippendorff
from strategies.agreement.several import fleiss, gwet, percent

__all__ = [
    "MISSING",
    "Answers",
    "Estimate",
    "answers",
    "cohen",
    "fleiss",
    "gwet",
    "krippendorff",
    "percent",
    "tables",
]
