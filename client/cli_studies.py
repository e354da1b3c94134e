"""`wardround-site` about studies and patients: studies, plan, approve, pause, exclude, purge."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemons.terminal import Format, Home, Refused, check_format, print_json

if TYPE_CHECKING:
    from client.store.offer_shelf import Offer
    from client.store.store import SiteStore

app = typer.Typer()


Study = Annotated[str, typer.Argument(help="The beginning of its identity.")]
Patient = Annotated[
    str, typer.Argument(help="As the source of the cases writes them; - to be asked, unseen.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Ask nothing.")]


@app.command()
def studies(home: Home, form: Format = "text") -> None:
    """List the studies that asked to run here, and where each one stands."""
    check_format(form)
    with _store(home) as store:
        rows = [_row(store, offer) for offer in store.offers.every()]
    if form == "json":
        print_json({"format": 1, "studies": rows})
        return
    for row in rows:
        news = f"; {row['server_says']}" if row["server_says"] else ""
        print(f"{row['identity'][:12]}  {row['standing']:<9}  {row['name']}{news}")
    if not rows:
        print("no study has asked to run here")


@app.command()
def plan(
    home: Home,
    study: Annotated[str, typer.Argument(help="The beginning of its identity.")] = "",
    form: Format = "text",
) -> None:
    """Say in plain words what a study will do here; without one, of all that wait."""
    from client.plan import as_json, text

    check_format(form)
    with _store(home) as store:
        plans = [_plan(home, store, offer) for offer in _asked(store, study)]
    if form == "json":
        print_json({"format": 1, "plans": [as_json(p) for p in plans]})
        return
    print("\n\n".join(text(p) for p in plans) or "no study waits for an answer")


@app.command()
def approve(study: Study, home: Home, yes: Yes = False, form: Format = "text") -> None:
    """Let a study run here, after its plan was read."""
    from client import approval
    from client.home import read_config
    from client.plan import text

    check_format(form)
    with _store(home) as store:
        offer = approval.named(store, study)
        if not yes and form == "text":
            print(text(_plan(home, store, offer)) + "\n")
        _confirm(yes, f"Let study {offer.identity[:12]} run here?", form)
        approval.approve(store, offer, read_config(home).plugins)
        _said(store, offer, form)


@app.command()
def refuse(study: Study, home: Home, form: Format = "text") -> None:
    """Say no to a study; it may be approved later."""
    _decide("refuse", study, home, form)


@app.command()
def pause(study: Study, home: Home, form: Format = "text") -> None:
    """Answer nothing for a study until it is resumed."""
    _decide("pause", study, home, form)


@app.command()
def resume(study: Study, home: Home, form: Format = "text") -> None:
    """Answer again for a study that was paused."""
    _decide("resume", study, home, form)


@app.command()
def withdraw(study: Study, home: Home, yes: Yes = False, form: Format = "text") -> None:
    """End a study here for good; its readings stay."""
    check_format(form)
    _confirm(yes, "This site leaves the study for good. Withdraw?", form)
    _decide("withdraw", study, home, form)


@app.command()
def exclude(patient: Patient, home: Home, yes: Yes = False, form: Format = "text") -> None:
    """Take a patient out of pool, training and audit, from the next step on."""
    from client import patients

    check_format(form)
    key, name = patients.site_key(home), _name(patient)
    _twice(yes, "The patient's cases will be used in no further step.", form)
    with _store(home) as store:
        cases = patients.exclude(store, key, name)
    _counted("excluded", cases, form)


@app.command()
def purge(patient: Patient, home: Home, yes: Yes = False, form: Format = "text") -> None:
    """Remove a patient with all cases, readings and labels; a tombstone stays."""
    from client import patients

    check_format(form)
    key, name = patients.site_key(home), _name(patient)
    _twice(yes, "Cases, readings and labels of the patient cannot be brought back.", form)
    with _store(home) as store:
        cases = patients.purge(home, store, key, name)
    _counted("purged", cases, form)
    if not cases and form == "text":
        print("none was here under that name; what a source has of them is not taken from now on")


@contextmanager
def _store(home: Path) -> Iterator[SiteStore]:
    from client.home import open_store, read_config

    store = open_store(home, durable=read_config(home).durable)  # a folder without a site: refused
    try:
        yield store
    finally:
        store.close()


def _asked(store: SiteStore, prefix: str) -> list[Offer]:
    from client.approval import named

    if prefix:
        return [named(store, prefix)]
    return [o for o in store.offers.every() if o.state == "waiting"]


def _plan(home: Path, store: SiteStore, offer: Offer) -> Any:
    from client.approval import standing
    from client.home import Deployment, read_config
    from client.plan import plan_of

    deployment = read_config(home).deployment or Deployment()
    others = store.offers.every()
    return plan_of(offer, standing(store, offer), others, deployment.least_patients)


def _row(store: SiteStore, offer: Offer) -> dict[str, Any]:
    import json

    from client.approval import standing

    return {
        "identity": offer.identity,
        "weights": offer.weights,
        "name": json.loads(offer.document)["name"],
        "standing": standing(store, offer),
        "asked_by": offer.asked_by,
        "received": offer.received,
        "decided": offer.decided,
        "server_says": store.cases.fact(f"server says {offer.identity}"),
    }


def _decide(what: str, study: str, home: Path, form: str) -> None:
    from client import approval

    check_format(form)
    with _store(home) as store:
        offer = approval.named(store, study)
        getattr(approval, what)(store, offer)
        _said(store, offer, form)


def _said(store: SiteStore, offer: Offer, form: str) -> None:
    from client.approval import named

    row = _row(store, named(store, offer.identity))
    if form == "json":
        print_json({"format": 1, **row})
    else:
        print(f"study {row['name']} ({row['identity'][:12]}): {row['standing']}")


def _counted(done: str, cases: int, form: str) -> None:
    if form == "json":
        print_json({"format": 1, done: {"patients": 1, "cases": cases}})
    else:
        print(f"1 patient {done}, {cases} cases")


def _name(patient: str) -> str:
    """The patient as typed: with - asked for, so that no name stays in the shell's history."""
    if patient == "-":
        asked = sys.stdin.isatty()
        patient = typer.prompt("Patient", hide_input=True) if asked else sys.stdin.readline()
    if not patient.strip():
        raise ValueError("a patient without a name; accepted is one as the source writes them")
    return patient.rstrip("\r\n")


def _confirm(yes: bool, question: str, form: str) -> None:
    if yes:
        return
    if form == "json" or not sys.stdin.isatty():
        raise ValueError("nobody is there to be asked; accepted without a terminal is --yes")
    if not typer.confirm(question):
        raise Refused("not confirmed, and nothing was changed")


def _twice(yes: bool, words: str, form: str) -> None:
    _confirm(yes, f"{words} Go on?", form)
    _confirm(yes, "Are you sure?", form)
