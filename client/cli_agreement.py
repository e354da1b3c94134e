"""`wardround-site agreement`: how far readers agree with each other and with themselves."""

from __future__ import annotations

import math
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from daemons.terminal import Format, Home, Refused, check_format, print_json

if TYPE_CHECKING:
    from client.agreement import Agreement, Found
    from strategies.agreement import Estimate

app = typer.Typer()

_NAMES = {
    "percent": "agree",
    "alpha": "Krippendorff's alpha",
    "fleiss": "Fleiss' kappa",
    "kappa": "Cohen's kappa",
    "ac1": "Gwet's AC1",
}


@app.command("agreement")
def tell(
    home: Home,
    study: Annotated[
        str, typer.Argument(help="Its name, or the beginning of its identity; else every study.")
    ] = "",
    form: Format = "text",
) -> None:
    """How far readers agree on cases read twice, with 95 % intervals. It stays at this site.

    Told from five cases on, and in steps of five.

    Each reader's own consistency comes from cases that came back to them unmarked; how each of
    them errs is what Dawid and Skene's model makes of the double readings.
    """
    from client.agreement import agreement, plain
    from client.exports.which import study_named
    from client.home import open_store, read_config

    check_format(form)
    with closing(open_store(home, durable=read_config(home).durable)) as store:
        studies = [study_named(store, study)] if study else store.steps.every()
        told = [agreement(store, s) for s in studies]
    told = [t for t in told if not t.empty]
    if not told:
        raise Refused(
            "fewer than five cases were read twice here; accepted is a study with two readers' "
            "answers to a case (reading.readers_per_case or reading.second_share), or with "
            "reading.repeats"
        )
    if form == "json":
        print_json({"format": 1, "studies": [plain(t) for t in told]})
    else:
        print("\n\n".join("\n".join(_lines(t)) for t in told))


def _lines(told: Agreement) -> list[str]:
    lines = [f"{told.study.name} ({told.study.identity[:12]})"]
    lines += [f"  {told.double} cases with two answers or more"]
    for title, every in (
        ("all readers", told.between),
        ("two readers each", told.pairs),
        ("each reader with themselves, of cases that came back unmarked", told.own),
    ):
        if every:
            lines += [f"  {title}", *(line for found in every for line in _found(found))]
    if told.confusions:
        lines += ["  how each reader answers where a class is true, by Dawid and Skene"]
    for confusion in told.confusions:
        lines += [f"    {_who((confusion.reader,), confusion.question)}"]
        for name, row in zip(confusion.names, confusion.share, strict=True):
            said = ", ".join(
                f"{n} {v:.0%}" for n, v in zip(confusion.names, row, strict=True) if v >= 0.005
            )
            lines += [f"      {name}: {said}"]
    return lines


def _found(found: Found) -> list[str]:
    from client.agreement import LEAST

    few = f", fewer than {LEAST}: take it lightly" if found.cases < LEAST else ""
    head = f"    {_who(found.readers, found.question)} ({found.cases} cases{few})"
    return [head, *(f"      {_NAMES[n]:<20} {_said(m)}" for n, m in found.measures.items())]


def _who(readers: tuple[str, ...], question: str) -> str:
    who = " and ".join(readers) or "together"
    return f"{who}: {question}" if question else who


def _said(estimate: Estimate) -> str:
    if math.isnan(estimate.value):
        return "not defined: all name one category"
    interval = f"{estimate.low:.3f} to {estimate.high:.3f}"
    if math.isnan(estimate.low):
        interval = "interval not estimable"
    return f"{estimate.value:.3f}  [{interval}]"
