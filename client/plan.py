"""A study's plan in plain words, for a site's admin who is to approve it: no programmer needed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from client.examining import plain
from client.leaving import leaving, sentences
from client.plan_again import again
from client.privacy.words import plan_words
from client.receiving import readable
from client.store.offer_shelf import Offer
from client.versions import versions
from protocol.networks import NETWORKS
from protocol.study import Study


@dataclass(frozen=True, slots=True)
class Part:
    """One heading of a plan and its sentences."""

    title: str
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a study would do here.

    Attributes:
        identity: of the study, 64 hex digits.
        weights: hash of its first weights, 64 hex digits.
        name: of the study.
        stands: "waiting", "approved", "paused", "refused" or "withdrawn".
        parts: in reading order.
        leaves: what leaves the site, a row for each record.
        changed: where it differs from the study of its name that was approved last: key, then,
            now.
    """

    identity: str
    weights: str
    name: str
    stands: str
    parts: Sequence[Part]
    leaves: Sequence[Mapping[str, Any]]
    changed: Sequence[tuple[str, str, str]]


def plan_of(offer: Offer, stands: str, others: Sequence[Offer], least_patients: int) -> Plan:
    """The plan of an offered study.

    Args:
        offer: kept by the site.
        stands: where it stands.
        others: every offer that the site knows; the one before of this name is looked up in them.
        least_patients: no update leaves while the labels are of fewer patients than this.

    Raises:
        OfferRefused: this version of the site cannot read the study any more.
    """
    study = readable(offer)
    before = _before(study, offer, others)
    leaves = leaving(study, offer.parameters)
    changed = tuple(_differences(before, offer)) if before else ()
    parts = (
        _who(offer, study),
        _network(offer, study),
        _asked(study),
        _amount(offer, study),
        _splits(study),
        _choices(study),
        Part("What leaves this building", sentences(leaves, least_patients)),
        Part("Privacy", plan_words(study)),
        _versions(offer),
        Part("What is approved", (f"Study {offer.identity}", f"First weights {offer.weights}")),
        _changes(before, changed),
    )
    return Plan(offer.identity, offer.weights, study.name, stands, parts, leaves, changed)


def _who(offer: Offer, study: Study) -> Part:
    return Part(
        "Who asks",
        (
            f"{plain(offer.asked_by)} asks {_count(offer.sites, 'site')} to take part in the "
            f"study {study.name}. It arrived on {offer.received[:10]}.",
        ),
    )


def _network(offer: Offer, study: Study) -> Part:
    words = (NETWORKS[study.network.name].__doc__ or "").partition(":")[0].rstrip(".")
    channels, height, width = study.task.image
    colours = "grey" if channels == 1 else "colour"
    return Part(
        "The model",
        (
            f"The network {study.network.name} ({words}) with {offer.parameters:,} parameters, "
            "as the server counts them; it comes from this site's own installation.",
            f"It sees {colours} images of {width} x {height} pixels.",
        ),
    )


def _asked(study: Study) -> Part:
    task = study.task
    how = "any number of these" if task.multi_label else "exactly one of these"
    classes = (f'"{plain(c.name)}": {plain(c.definition, 300)}' for c in task.classes)
    readers = study.reading.readers_per_case
    return Part(
        "What readers are asked",
        (
            f"For each case {how}, or unsure, or not readable:",
            *classes,
            f"{_count(readers, 'physician')} {'reads' if readers == 1 else 'read'} each case.",
            *again(study),
            *_afterwards(study),
        ),
    )


def _afterwards(study: Study) -> tuple[str, ...]:
    """What readers see once they have answered."""
    if study.reading.show_ai == "never":
        return ("They never see what the model says.",)
    shown = "Once their answer is saved they may see what the model says of the case."
    if study.reading.trains == "blind":
        return (shown, "An answer that they change then is kept, and the first one trains.")
    return (shown, "An answer that they change then trains; the audit set keeps the first.")


def _amount(offer: Offer, study: Study) -> Part:
    budget = study.budget
    cycle = max(budget.per_cycle, budget.first or 0)
    share = -(-budget.total // max(offer.sites, 1))
    hours = budget.total / 60 if budget.unit == "minutes" else budget.total * budget.seconds / 3600
    sentences = [
        f"At most {cycle:,} {budget.unit} in one cycle and {budget.total:,} in the whole study, "
        "should every one of them fall to this site.",
        f"Shared evenly, about {share:,} {budget.unit} here.",
        f"At most {hours:,.1f} hours of readers' time"
        + ("." if budget.unit == "minutes" else f", at {budget.seconds:g} seconds a reading."),
    ]
    return Part("How much reading at most", tuple(sentences))


def _splits(study: Study) -> Part:
    return Part(
        "How the cases are divided",
        (
            f"{study.audit.patients:.0%} of the patients are the audit set: they measure the "
            "model and are never trained on.",
            "A patient is never in two parts; which part, the site's own secret decides.",
            f"{study.audit.grant:.0%} of the reading goes to audit cases, until all are read.",
        ),
    )


def _choices(study: Study) -> Part:
    from strategies.aggregation import AGGREGATION  # scipy comes with these
    from strategies.budget import BUDGET
    from strategies.consensus import CONSENSUS
    from strategies.query import QUERY
    from strategies.stopping import STOPPING

    query, reading, training, mean = study.query, study.reading, study.training, study.aggregation
    rows = (
        ("Which cases are read", QUERY, query.strategy, query.arguments),
        ("In the first cycle", QUERY, query.cold_start, query.cold_start_arguments),
        ("How many each site reads", BUDGET, study.budget.policy, study.budget.arguments),
        ("What becomes of several answers", CONSENSUS, reading.consensus, reading.arguments),
        ("How the sites' models are averaged", AGGREGATION, mean.name, mean.arguments),
        ("When to stop", STOPPING, study.stopping.rule, study.stopping.arguments),
    )
    return Part(
        "Who decides what",
        (
            *(f"{what}: {_chosen(name, given, table)}" for what, table, name, given in rows),
            f"{study.budget.exploration:.0%} of what is read is drawn at random.",
            f"In each cycle the model is trained here {_count(training.rounds_per_cycle, 'time')}, "
            f"with {training.local_epochs} passes over this site's labels each, but at least "
            f"{training.min_steps} steps and at most {training.max_steps}.",
            *_compared(study),
        ),
    )


def _compared(study: Study) -> tuple[str, ...]:
    """That two more models are trained, where the study holds its strategy against random."""
    often = {"end": "the last cycle", "cycle": "each cycle but the first"}
    when = often.get(study.stopping.gain)
    if when is None:
        return ()
    return (
        f"After {when} two more models are trained, on parts of the same labels and as often, and "
        "measured on the audit cases, to tell whether choosing beats chance. Nothing steers by it.",
    )


def _versions(offer: Offer) -> Part:
    here = versions().get("wardround", "unknown")
    same = (
        "" if here == offer.version else " They differ: ask the study lead whether that is meant."
    )
    return Part(
        "Which code runs",
        (f"wardround {here} here, {plain(offer.version, 40) or 'unknown'} at the server.{same}",),
    )


def _changes(before: Offer | None, changed: Sequence[tuple[str, str, str]]) -> Part:
    if before is None:
        words: tuple[str, ...] = ("No study of this name was approved here before.",)
    else:
        words = (
            f"It differs from study {before.identity[:12]} of the same name, approved on "
            f"{before.decided[:10]}, in {_count(len(changed), 'place')}:",
            *(f"{key}: {then} then, {now} now" for key, then, now in changed),
        )
    return Part("What is new", words)


def _before(study: Study, offer: Offer, others: Sequence[Offer]) -> Offer | None:
    """The offer of the same name that was approved last."""
    earlier = [
        o
        for o in others
        if o.identity != offer.identity
        and o.state in ("approved", "withdrawn")
        and json.loads(o.document).get("name") == study.name
    ]
    return max(earlier, key=lambda o: o.decided, default=None)


def _differences(before: Offer, offer: Offer) -> list[tuple[str, str, str]]:
    then, now = (_flat(json.loads(o.document)) for o in (before, offer))
    then["first weights"], now["first weights"] = before.weights[:12], offer.weights[:12]
    return [
        (plain(key), plain(then.get(key, "nothing"), 80), plain(now.get(key, "nothing"), 80))
        for key in sorted(then.keys() | now.keys())
        if then.get(key) != now.get(key)
    ]


def _flat(tables: Mapping[str, Any], path: str = "") -> dict[str, str]:
    """Every key of nested tables with dots, and its value as text; less the rehearsal."""
    found: dict[str, str] = {}
    for key, value in tables.items():
        if path or key != "simulation":
            if isinstance(value, Mapping) and value:
                found |= _flat(value, f"{path}{key}.")
            else:
                found[f"{path}{key}"] = json.dumps(value)
    return found


def _chosen(name: str, arguments: Mapping[str, object], table: Mapping[str, object]) -> str:
    """A name of a table, its arguments, and the first sentence of what it says of itself."""
    given = ", ".join(f"{k} {json.dumps(v)}" for k, v in sorted(arguments.items()))
    words = (
        (table[name].__doc__ or "").partition("\n")[0] if name in table else "a listed package's."
    )
    return plain(f"{name} ({given}). {words}" if given else f"{name}. {words}")


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def text(plan: Plan) -> str:
    """The plan for a person."""
    lines = [f"Study {plan.name} ({plan.identity[:12]}): {plan.stands}", ""]
    for part in plan.parts:
        lines += [part.title, *(f"  {s}" for s in part.sentences), ""]
    if plan.stands in ("waiting", "refused"):
        begin = plan.identity[:12]
        lines += [f"To answer: wardround-site approve {begin}, or wardround-site refuse {begin}"]
    return "\n".join(lines).rstrip()


def as_json(plan: Plan) -> dict[str, Any]:
    """The plan for a program."""
    return {
        "format": 1,
        "identity": plan.identity,
        "weights": plan.weights,
        "name": plan.name,
        "standing": plan.stands,
        "parts": [{"title": p.title, "sentences": list(p.sentences)} for p in plan.parts],
        "leaves": [{k: v for k, v in row.items() if k != "words"} for row in plan.leaves],
        "changed": [{"key": k, "then": t, "now": n} for k, t, n in plan.changed],
    }
