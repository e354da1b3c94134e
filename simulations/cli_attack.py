"""`wardround attack`: what a curious server learns of patients, measured."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, cast

import typer

from daemons.terminal import Format, check_format, print_json

if TYPE_CHECKING:
    from simulations.results.page import Titled

KINDS = ("canaries", "membership", "reconstruction")
FAULTS = ("", "noise", "clipping")


def attack(
    kind: Annotated[str, typer.Argument(help=f"{', '.join(KINDS)}.", metavar="KIND")],
    run: Annotated[
        Path | None,
        typer.Argument(help="Folder of `simulate`, whose report then shows it."),
    ] = None,
    data: Annotated[
        str,
        typer.Option(
            help="Of reconstruction: gray 28 x 28 images, as the pneumonia study's; the phantom if "
            "not given. Of membership: where the cases of RUN are now, if they have moved."
        ),
    ] = "",
    seed: Annotated[int, typer.Option(min=0, help="Of canaries.")] = 0,
    fault: Annotated[
        str, typer.Option(help="Of canaries, to see it found: noise (halved) or clipping (off).")
    ] = "",
    steps: Annotated[int, typer.Option(min=1, help="Of a search for images.")] = 1000,
    form: Format = "text",
) -> None:
    """Attack patients' privacy: canaries, membership in a model, images from updates."""
    check_format(form)
    _check(kind, fault, run, data)
    from simulations.results.compare import compare

    results = None if run is None else compare([run])  # no run is refused before the work
    if kind == "canaries":
        told = _canaries(seed, fault)
    elif kind == "membership":
        told = _membership(cast("Path", run), data)  # `_check` has refused none
    else:
        told = _reconstruction(data or "phantom", steps)
    if run is not None and results is not None:
        from simulations.attacks.privacy.told import keep, kept
        from simulations.results.report import render, written

        keep(run, kind, told)
        written(run / "report.html", render(results, tuple(kept([run]))))
    _show(told, form)


def _check(kind: str, fault: str, run: Path | None, data: str) -> None:
    """Refuse what there is not, before anything slow is imported.

    Raises:
        ValueError: another attack, another fault, a fault of another attack than canaries, data of
            canaries, which are drawn, or membership in no run.
    """
    if kind not in KINDS:
        raise ValueError(f"attack {kind!r}: accepted is one of {', '.join(KINDS)}")
    if fault not in FAULTS:
        raise ValueError(f"--fault {fault!r}: accepted is noise or clipping")
    if fault and kind != "canaries":
        raise ValueError(f"--fault {fault!r} with {kind}: accepted with canaries alone")
    if data and kind == "canaries":
        raise ValueError(f"--data {data!r} with canaries: accepted with the other two, not these")
    if run is None and kind == "membership":
        raise ValueError("membership without RUN: accepted is a folder of `simulate`")


def _canaries(seed: int, fault: str) -> Titled:
    from client.privacy.dp_sgd import SOUND, Planted
    from simulations.attacks.privacy.canaries import Audit, audit
    from simulations.attacks.privacy.released import audit_reports
    from simulations.attacks.privacy.told import of_audit

    faults = {"": SOUND, "noise": Planted(noise=0.5), "clipping": Planted(clipping=False)}
    planted, named = faults[fault], f"fault: {fault or 'none'}, seed {seed}"
    found = [(f"DP-SGD, {named}", audit(Audit(seed=seed, planted=planted)))]
    if planted.clipping:  # a report clips nothing
        with TemporaryDirectory() as folder:
            reports = audit_reports(Path(folder), noise=planted.noise, seed=seed)
        found.append((f"reports, {named}", reports))
    return of_audit(found)


def _membership(run: Path, data: str) -> Titled:
    from simulations.attacks.privacy.membership import membership, runs_of, targets_of
    from simulations.attacks.privacy.told import of_membership

    runs, targets = runs_of(run), targets_of(run, data)
    return of_membership([(arm, seed, membership(run, arm, seed, targets)) for arm, seed in runs])


def _reconstruction(data: str, steps: int) -> Titled:
    from simulations.attacks.privacy.inversion import Search
    from simulations.attacks.privacy.reconstruction import Material, reconstruction
    from simulations.attacks.privacy.told import of_reconstruction

    return of_reconstruction(reconstruction(Material.of(data), Search(steps=steps)))


def _show(told: Titled, form: str) -> None:
    table = told.table
    if form == "json":
        rows = [dict(zip(table.head, row, strict=True)) for row in table.rows]
        print_json({"format": 1, "title": told.title, "rows": rows})
        return
    widths = [max(map(len, column)) for column in zip(table.head, *table.rows, strict=True)]
    print(told.title)
    for row in (table.head, *table.rows):
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )
