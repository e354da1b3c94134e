"""A model's card of provenance as a page of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from strategies.metrics.bounds import LABELS, share


def card_text(card: Mapping[str, Any]) -> str:
    """The card, in Markdown."""
    return "\n".join(
        [
            *_head(card),
            *_origin(card),
            *_sites(card),
            *_metrics(card),
            *_gain(card),
            *_limits(card),
            "",
        ]
    )


def _head(card: Mapping[str, Any]) -> Iterator[str]:
    yield f"# Model of study {card['study']}"
    yield ""
    if not card["finished"]:
        yield f"**The study has not ended: it is {card['state']}.** Its newest measured model:"
        yield ""
    model = card["model"]
    which = "the study's first weights, not trained"
    if model["rounds"]:
        which = f"after cycle {model['cycle'] + 1}, round {model['rounds']}"
    yield f"`{model['file']}`: {model['arrays']} arrays, {model['parameters']} numbers, {which}."
    yield ""


def _origin(card: Mapping[str, Any]) -> Iterator[str]:
    rows = (
        ("study identity", card["identity"]),
        ("first weights", card["weights"]),
        ("model file, SHA-256", card["model"]["sha256"]),
        ("model arrays, hash", card["model"]["hash"]),
        ("asked by", card["asked_by"]),
        ("code", f"wardround {card['code']}"),
        ("submitted", card["submitted"]),
        ("first step", card["first_step"]),
        ("last step", card["last_step"]),
        ("exported", card["exported"]),
        ("cycles finished", card["cycles"]),
    )
    yield "| | |"
    yield "| --- | --- |"
    yield from (f"| {name} | {_cell(value)} |" for name, value in rows)
    yield ""


def _sites(card: Mapping[str, Any]) -> Iterator[str]:
    unit = card["unit"]
    yield "## Who read"
    yield ""
    yield f"Up to this model, of the study's {card['budget']} {unit}; granted = spent + returned."
    yield ""
    yield f"| site | {unit} granted | spent | returned | active minutes | versions |"
    yield "| --- | ---: | ---: | ---: | ---: | --- |"
    for site, versions in card["sites"].items():
        told = card["readings"].get(site, {})
        counts = [told.get(key, 0) for key in ("granted", "spent", "returned")]
        said = ", ".join(f"{name} {value}" for name, value in sorted(versions.items()))
        cells = [site, *counts, f"{told.get('minutes', 0.0):.1f}", said or "not told"]
        yield f"| {' | '.join(map(_cell, cells))} |"
    yield ""


def _metrics(card: Mapping[str, Any]) -> Iterator[str]:
    yield "## What it is worth"
    yield ""
    audit = card["audit"]
    if audit is None:
        yield "No audit case had been read when it was measured: nothing can be said."
        yield ""
        return
    level = "patients" if audit["clustered"] else "images, since sites do not name all patients"
    yield (
        f"Measured on {audit['cases']} audit cases of {audit['patients']} patients, drawn at "
        f"random, read blind to the AI and never trained on; 95 % intervals over {level}."
    )
    yield ""
    yield "| metric | all sites together | mean of sites | worst site |"
    yield "| --- | --- | --- | --- |"
    for name in audit["pooled"]:
        parts = [_interval(audit[part].get(name)) for part in ("pooled", "macro", "worst")]
        yield f"| {name} | {' | '.join(parts)} |"
    yield ""
    yield from _unsettled(audit)


def _unsettled(audit: Mapping[str, Any]) -> Iterator[str]:
    cases, left = audit["cases"], audit["unsettled"]
    yield (
        f"{left} of {cases + left} audit cases read ({share(cases, left):.1%}) stayed unsure or "
        "unreadable and are not in these numbers."
        + (" Had they all been decided wrong, or all right:" if left else "")
    )
    yield ""
    if not left:
        return
    yield "| decision | settled cases alone | all wrong | all right |"
    yield "| --- | --- | --- | --- |"
    for name, numbers in audit["bounds"].items():
        cells = ("not estimable" if n is None else f"{n:.3f}" for n in numbers)
        yield f"| {LABELS[name]} | {' | '.join(cells)} |"
    yield ""


def _gain(card: Mapping[str, Any]) -> Iterator[str]:
    """The newest comparison with asking at random, where the study had one."""
    if card.get("gains"):
        yield "## Was asking worth more than chance"
        yield ""
        yield card["gains"][-1]["words"]
        yield ""


def _limits(card: Mapping[str, Any]) -> Iterator[str]:
    yield "## What it is not"
    yield ""
    yield "Not a medical device. Intervals are not corrected for repeated looks. A patient who was"
    yield "imaged at two sites cannot be recognised, and may stand in training at one and audit at"
    yield "the other. Updates may reveal images: keep the model as you would keep its data."


def _interval(numbers: list[float | None] | None) -> str:
    if not numbers or numbers[0] is None:
        return "not estimable"
    estimate, low, high = numbers
    if low is None or high is None:
        return f"{estimate:.3f} (no interval)"
    return f"{estimate:.3f} ({low:.3f} to {high:.3f})"


def _cell(value: object) -> str:
    """A table's cell: versions come from sites, and a bar or a line break would end the cell."""
    text = "".join(c if c.isprintable() else " " for c in str(value))
    return text.replace("|", "\\|").replace("<", "&lt;")
