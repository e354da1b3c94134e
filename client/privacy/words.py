"""What was spent of the patients' privacy, in words and as a document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from client.privacy.account import SCOPES, PrivacyAccount, recomputed
from client.privacy.accounting import epsilon
from client.store.privacy_shelf import Charge, Opened, Scope
from protocol.secagg import LEAST_SITES
from protocol.study import Study
from strategies.private import CONDITIONAL, COVERED, composes

WHOSE: Mapping[Scope, str] = {
    "training": "patients of the pool",
    "audit": "patients of the audit set",
    "locked": "patients of the locked test set",
}
QUERYING = "querying: which cases are chosen is not told, but steers the model"


def document(account: PrivacyAccount, study: Study) -> dict[str, Any]:
    """The account for programs; epsilons at the account's delta."""
    opened, charges = account.opened(), account.store.privacy.all(account.study)
    again = recomputed(charges, opened.order)
    return {
        "study": account.study,
        "name": study.name,
        "epsilon": opened.epsilon,
        "delta": opened.delta,
        "rdp_order": opened.order,
        "querying": "covered" if composes(study) else CONDITIONAL,
        "scopes": {scope: _scope(account, scope, again[scope], charges) for scope in SCOPES},
    }


def _scope(
    account: PrivacyAccount, scope: Scope, again: float, charges: Sequence[Charge]
) -> dict[str, Any]:
    opened = account.opened()
    spent = account.epsilon(scope)
    things: dict[str, list[Charge]] = {}
    for charge in charges:
        if charge.scope == scope:
            things.setdefault(charge.what, []).append(charge)
    return {
        "spent": spent,
        "left": max(0.0, opened.epsilon - spent),
        "recomputed": epsilon(again, opened.order, opened.delta),
        "charges": [_thing(what, these, opened) for what, these in things.items()],
    }


def _thing(what: str, charges: Sequence[Charge], opened: Opened) -> dict[str, Any]:
    """Charges for the same thing: what they cost alone, and how the noise was."""
    return {
        "what": what,
        "mechanism": charges[0].mechanism,
        "times": len(charges),
        "steps": sum(c.steps for c in charges),
        "epsilon_alone": epsilon(sum(c.rdp for c in charges), opened.order, opened.delta),
        "nats": sum(c.rdp for c in charges),
        "least_noise": min(c.noise for c in charges),
        "not_released": sum(not c.released for c in charges),
    }


def text(told: Mapping[str, Any]) -> str:
    """The account for a person."""
    delta = f"{told['delta']:.0e}"
    lines = [f"Study {told['name']} ({told['study'][:12]}), epsilon at delta {delta}:"]
    for scope, whose in WHOSE.items():
        part = told["scopes"][scope]
        given = ", given the chosen cases" if told["querying"] == CONDITIONAL else ""
        spent = f"{part['spent']:.2f} of {told['epsilon']:g} spent, {part['left']:.2f} left"
        lines.append(f"  {whose}{given if scope != 'locked' else ''}: {spent}")
        lines += [f"    {_line(thing, part)}" for thing in part["charges"]]
    said = f"; so: {CONDITIONAL}" if told["querying"] == CONDITIONAL else f": {COVERED}"
    lines.append(f"  {QUERYING}{said}.")
    return "\n".join(lines)


def _line(thing: Mapping[str, Any], part: Mapping[str, Any]) -> str:
    times = "once" if thing["times"] == 1 else f"{thing['times']} times"
    if thing["mechanism"] == "public":
        return f"{thing['what']}, {times}: nothing, what is told is known already"
    if thing["mechanism"] == "restored":
        return f"{thing['what']}: {thing['nats']:.3g} nats"
    total = sum(t["nats"] for t in part["charges"])
    share = thing["nats"] / total if total else 0.0
    steps = f" ({thing['steps']:,} steps)" if thing["mechanism"].startswith("dp-sgd") else ""
    return (
        f"{thing['what']}, {times}{steps}: {share:.0%} of what was spent, "
        f"noise {thing['least_noise']:g} or more"
    )


def plan_words(study: Study) -> tuple[str, ...]:
    """What the plan of a study says about privacy, before its admin approves it."""
    privacy = study.privacy
    if privacy is None:
        return (
            "Updates may reveal images: there is no differential privacy in this study.",
            _seen(study),
        )
    sure = COVERED if composes(study) else CONDITIONAL
    return (
        f"Differential privacy for patients: epsilon at most {privacy.epsilon:g} over the whole "
        "study, for patients of the pool, of the audit set and of a locked test set each. Delta is "
        "at most 1 / (10 x the patients here).",
        f"What that covers: {sure}.",
        f"Of it {privacy.statistics:.0%} is for what is told of the pool, the rest for training.",
        "A step that would spend more is refused before any image is looked at, and the study goes "
        "on without this site. To see what was spent: wardround-site privacy",
        _seen(study),
        "Not protected: when readers are done, and how many lines the audit log has.",
    )


def _seen(study: Study) -> str:
    """Who sees this site's own update, and against whom that holds."""
    if not study.aggregation.secure:
        return "Whoever runs the server sees each site's trained model."
    return (
        f"The server sees the sum of {LEAST_SITES} or more sites' trained models and none alone "
        "(SecAgg+), so long as it keeps to the protocol. The sites' keys come through it: a server "
        "that lies, and makes up the other sites, would see this site's model. Nor does the sum "
        "hide what all sites have in common."
    )
