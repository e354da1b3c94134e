"""The messages of the model plane: one request for every step, and what a site answers.

A step is short and idempotent; nothing in it waits for a person.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from protocol.clusters import SiteClusters
from protocol.gain import SiteGain
from protocol.records import (
    Arrays,
    Grant,
    SiteEvaluation,
    SiteProgress,
    SiteReport,
    SiteUpdate,
    StepKey,
)

VERSION = 1
"""Of these messages; both sides say theirs in the first one."""

MESSAGE_TYPES: Mapping[str, str] = {
    "hello": "query.hello",
    "report": "query.report",
    "select": "query.select",
    "close": "query.close",
    "train": "train",
    "evaluate": "evaluate",
    "cluster": "query.cluster",
    "compare": "query.compare",
}
"""Flower's message type of each step."""


class Code(StrEnum):
    """Why a site answered with nothing: all that leaves of an error.

    "too-few-patients" and "over-budget" (of privacy) are abstentions, and count as answers;
    "kept-back" says that the gate (`protocol/egress.py`) let a reply not pass.
    """

    NOT_APPROVED = "not-approved"
    LOWER_EPOCH = "lower-epoch"
    CONFLICT = "conflict"
    FORGOTTEN = "forgotten"
    BAD_REQUEST = "bad-request"
    FAILED = "failed"
    PAUSED = "paused"
    WITHDRAWN = "withdrawn"
    TOO_FEW_PATIENTS = "too-few-patients"
    KEPT_BACK = "kept-back"
    OVER_BUDGET = "over-budget"


ABSTENTIONS = frozenset({Code.TOO_FEW_PATIENTS, Code.OVER_BUDGET})
"""The study goes on without the site in this step."""


@dataclass(frozen=True, slots=True)
class StepRequest:
    """What the server asks of one site.

    Attributes:
        key: the step's identity.
        epoch: grows with every start of the ServerApp; a site refuses a lower one than it knows.
        arrays: the global model's parameters, of "compare" those of two models; of "cluster" the
            federation's clusters; empty for "hello".
        grant: of this site; only for "select".
    """

    key: StepKey
    epoch: int
    arrays: Arrays = field(default_factory=dict)
    grant: Grant | None = None


@dataclass(frozen=True, slots=True)
class Hello:
    """Who a site is: its name, its number in site order, and the versions that it runs."""

    site: str
    number: int
    protocol: int
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Selected:
    """How many cases a site opened for its readers. Which ones never leaves."""

    site: str
    opened: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """A site's answer when a step was not done."""

    code: Code


Reply: TypeAlias = (
    Hello
    | SiteReport
    | SiteClusters
    | Selected
    | SiteProgress
    | SiteUpdate
    | SiteEvaluation
    | SiteGain
    | Refusal
)

REPLIES: Mapping[str, type[Reply]] = {
    "hello": Hello,
    "report": SiteReport,
    "select": Selected,
    "close": SiteProgress,
    "train": SiteUpdate,
    "evaluate": SiteEvaluation,
    "cluster": SiteClusters,
    "compare": SiteGain,
}
"""What each step is answered with, unless it is refused."""
