"""The table of everything that a site may send: what the gate lets through, and what people read.

One row per record of the model plane and per message of the coordination plane. Adding a record
means adding it here; what is not here does not leave.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from protocol.clusters import asks_by_clusters
from protocol.coordination import STANDINGS
from protocol.egress_clusters import clusters_of
from protocol.egress_fields import Counts, Flag, Number, OneOf, Rule, Taken, Text, Whole
from protocol.egress_measured import Crossed, Measured
from protocol.egress_parts import Array, AsAsked, Perhaps, Several, Table
from protocol.measures import FINE_BINS, METRIC_NAMES, scored_classes, sums_length
from protocol.records import UNCERTAINTY_BINS
from protocol.steps import Code

if TYPE_CHECKING:
    from protocol.sections import Task
    from protocol.study import Study

MOST_PARAMETERS = 2**28
"""A model larger than this (1 GiB) does not travel, whatever a request carries."""

MOST_STANDINGS = 256
"""Studies that one message may name."""

TITLES: Mapping[str, str] = {
    "Hello": "Who the site is",
    "SiteReport": "Counts of the pool",
    "Selected": "How many cases were opened",
    "SiteProgress": "What became of a cycle's grant",
    "SiteUpdate": "The trained model",
    "SecAgg": "A part of the masked sum",
    "SiteEvaluation": "Sums over the audit cases",
    "SiteClusters": "Means and counts of large clusters of cases",
    "SiteGain": "The same sums of two models, to hold asking against asking at random",
    "Refusal": "That a step was not done",
    "Arrival": "The greeting of a connection",
    "Heartbeat": "That the site is there",
    "Progress": "How far the readers are",
    "Head": "The audit log's newest hash",
    "Standing": "Where a study stands here",
    "NewestHeadRequest": "The question for the countersigned head",
    "Greeting": "The question for versions and time",
}
"""What each record is, for people."""

_PACKAGES = ("wardround", "flwr", "torch", "monai", "numpy", "python", "grpcio")
_VERSIONS = Table(
    {n: Text(r"[0-9][0-9A-Za-z.+-]*", 32, "a version number") for n in _PACKAGES}, some=True
)
_HASH = Text("[0-9a-f]{64}", 64, "a hash of 64 hex digits")
_PROTOCOL = Whole(0, 1000)
_BIG = Whole(0, 2**53)
_TIME = Number(0.0, 1e11)
_SECONDS = Number(0.0, 1e7)
_MINUTES = Number(0.0, 1e8)


@dataclass(frozen=True, slots=True)
class Asking:
    """What a record answers.

    Attributes:
        site: the site's own name; no record speaks for another.
        study: that the record belongs to.
        asked: arrays that the request carried.
        parameters: numbers in the model, where the request is not there to count them.
    """

    site: str
    study: Study
    asked: Taken = field(default_factory=dict)
    parameters: int = 0

    @property
    def update_bytes(self) -> int:
        """Bytes of the model's arrays, with their names, at most."""
        if not self.asked:
            return 5 * self.parameters + 2**14  # float32, and a fifth more for names and headers
        named = sum(2 * len(name) + 256 + array.nbytes for name, array in self.asked.items())
        return min(named, 4 * MOST_PARAMETERS)


@dataclass(frozen=True, slots=True)
class Line:
    """One record of the table.

    Attributes:
        title: what it is, for people.
        rule: its fields.
        often: how often it leaves, in words.
        times: about how often in one cycle, from which the cycle's cap is made.
    """

    title: str
    rule: Table
    often: str
    times: int


REFUSAL = Line(TITLES["Refusal"], Table({"code": OneOf(tuple(Code))}), "when refused", 200)


def model_plane(asking: Asking) -> Mapping[str, Line]:
    """What may answer the server's steps, by the record's kind."""
    compared = asking.study.stopping.gain != "never"
    rounds = (3 if compared else 1) * asking.study.training.rounds_per_cycle
    gain = {"SiteGain": Line(TITLES["SiteGain"], _gain(asking), "at most once a cycle", 2)}
    rule = clusters_of(asking.study, _own(asking))
    told = {"SiteClusters": Line(TITLES["SiteClusters"], rule, "twice a cycle", 5)}
    return {
        "Hello": Line(TITLES["Hello"], _hello(asking), "when the server starts", 500),
        "SiteReport": Line(TITLES["SiteReport"], _report(asking), "once a cycle", 5),
        "Selected": Line(TITLES["Selected"], _selected(asking), "once per grant", 20),
        "SiteProgress": Line(TITLES["SiteProgress"], _progress(asking), "once a cycle", 50),
        "SiteUpdate": Line(TITLES["SiteUpdate"], _update(asking), _rounds(rounds), rounds),
        "SiteEvaluation": Line(
            TITLES["SiteEvaluation"], _evaluation(asking), "once a cycle, and before the first", 3
        ),
        **(gain if compared else {}),
        **(told if asks_by_clusters(asking.study) else {}),
        "Refusal": REFUSAL,
    }


_STANDING = Table({"study": _HASH, "state": OneOf(STANDINGS)})
_HEAD = Table(
    {
        "lines": _BIG,
        "hash": Text("([0-9a-f]{64})?", 64, "a hash of 64 hex digits, or nothing"),
        "left": Whole(0, 2**31),
    }
)
_GREETING: Mapping[str, Rule] = {"protocol": _PROTOCOL, "versions": _VERSIONS}

COORDINATION: Mapping[str, Line] = {
    "Arrival": Line(
        TITLES["Arrival"],
        Table(
            {
                **_GREETING,
                "acknowledged": _BIG,
                "standings": Several(_STANDING, MOST_STANDINGS),
                "head": Perhaps(_HEAD),
            }
        ),
        "at every connection",
        0,
    ),
    "Heartbeat": Line(
        TITLES["Heartbeat"],
        Table({"acknowledged": _BIG, "sent": _TIME}),
        "every 20 seconds",
        0,
    ),
    "Progress": Line(
        TITLES["Progress"],
        Table(
            {
                "study": _HASH,
                "cycle": Whole(),
                "granted": Whole(),
                "spent": Whole(),
                "readings": Whole(),
                "waiting": Whole(),
                "minutes": _MINUTES,
            }
        ),
        "at most once a minute",
        0,
    ),
    "Head": Line(TITLES["Head"], _HEAD, "after every round", 0),
    "Standing": Line(TITLES["Standing"], _STANDING, "when it changes", 0),
    "NewestHeadRequest": Line(TITLES["NewestHeadRequest"], Table({}), "with audit verify", 0),
    "Greeting": Line(
        TITLES["Greeting"],
        Table({**_GREETING, "time": _TIME}),
        "with preflight",
        0,
    ),
}
"""What may be said on the coordination stream, and the calls beside it."""


def _rounds(rounds: int) -> str:
    return f"{rounds} times a cycle" if rounds > 1 else "once a cycle"


def _own(asking: Asking) -> Rule:
    name = asking.site
    return Text(re.escape(name), len(json.dumps(name)), "the site's own name")


def _hello(asking: Asking) -> Table:
    return Table(
        {
            "site": _own(asking),
            "number": Whole(0, 10**6),
            "protocol": _PROTOCOL,
            "versions": _VERSIONS,
        }
    )


def _report(asking: Asking) -> Table:
    task = asking.study.task
    classes = len(task.classes)
    moved = 2 if task.multi_label else classes
    private = asking.study.privacy is not None
    each = Whole(0, 0) if private else Whole()  # what the sites of a private study do not tell
    return Table(
        {
            "site": _own(asking),
            "pool": Whole(),
            "labeled": each,
            "audit_left": Whole(),
            "capacity": Whole(),
            "seconds_per_reading": _SECONDS,
            "uncertainty": Counts((UNCERTAINTY_BINS,)),
            "predicted": Counts((classes,), each),
            "labels": Counts((classes,), each),
            "kept": Counts((moved, moved), each),
            "prequential_loss": Number(0.0, 0.0 if private else 1e4),
            "prequential_count": each,
        }
    )


def _selected(asking: Asking) -> Table:
    return Table({"site": _own(asking), "opened": Whole()})


def _progress(asking: Asking) -> Table:
    return Table(
        {
            "site": _own(asking),
            "spent": Whole(),
            "returned": Whole(-(10**9)),
            "readings": Whole(),
            "minutes": _MINUTES,
            "waiting": Whole(),
        }
    )


def _update(asking: Asking) -> Table:
    return Table(
        {
            "site": _own(asking),
            "arrays": AsAsked(asking.asked, asking.update_bytes),
            "weight": Number(0.0, 1e9),
            "loss": Number(-1e9, 1e9) if asking.study.privacy is None else Number(0.0, 0.0),
            "steps": Whole(),
        }
    )


def _evaluation(asking: Asking) -> Table:
    summed = _measured(asking.study.task)
    return Table({"site": _own(asking), "audit": Perhaps(summed), "locked": Perhaps(summed)})


def _gain(asking: Asking) -> Table:
    summed, m = _measured(asking.study.task), sums_length(asking.study.task)
    across = Array("float32", (m * m,), -1e18, 1e18)
    pair = Crossed(Table({"random": summed, "queried": summed, "across": across}))
    counts = {"labels": Whole(), "apart": Whole()}
    return Table({"site": _own(asking), **counts, "pair": Perhaps(pair)})


def _measured(task: Task) -> Measured:
    m = sums_length(task)
    metrics = Table(dict.fromkeys(METRIC_NAMES, Number(-1e9, 1e9, unknown=True)))
    measured = Table(
        {
            "cases": Whole(),
            "patients": Whole(),
            "clustered": Flag(),
            "unsettled": Whole(),
            "sums": Array("float64", (m,), 0.0, 1e12),
            "covariance": Array("float32", (m * (m + 1) // 2,), -1e18, 1e18),
            "fine": Array("float64", (scored_classes(task), 2, FINE_BINS), 0.0, 1e9, whole=True),
            "estimates": metrics,
            "variances": metrics,
        }
    )
    return Measured(measured, scored_classes(task), len(task.classes))
