"""`wardround replay`: a simulated run with other arms, or a ledger under another policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from sqlite3 import DatabaseError
from typing import Annotated

import typer

from daemons.terminal import Format, check_format, print_json


def replay(
    path: Annotated[
        Path, typer.Argument(help="A simulated run's folder, OUT/ARM/seed-N, or a ledger.db.")
    ],
    arms: Annotated[
        str, typer.Option(help="Of a run: what else it is run as, as `simulate` takes arms.")
    ] = "",
    policy: Annotated[str, typer.Option(help="Of a ledger: whose allocations are computed.")] = "",
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", help="An argument of the policy: reach=0.3.", metavar="A=B"),
    ] = None,
    data: Annotated[str, typer.Option(help="Of a run: where its cases are now.")] = "",
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    form: Format = "text",
) -> None:
    """What if: a simulated run again with other arms, a ledger's budgets under another policy."""
    check_format(form)
    if path.suffix == ".db":
        _refuse("a ledger", {"--arms": arms, "--data": data}, "--policy and --set")
        if not policy:
            raise ValueError("a ledger without --policy; accepted is a name of the policy table")
        _ledger(path, policy, sets or [], form)
        return
    _refuse("a run", {"--policy": policy, "--set": sets}, "--arms, such as coreset@safe")
    _run(path, arms, data, workers, form)


def _refuse(kind: str, given: Mapping[str, object], accepted: str) -> None:
    """Refuse options that this kind of record has no use for."""
    if wrong := [option for option, value in given.items() if value]:
        raise ValueError(f"{kind} with {' and '.join(wrong)}; accepted with {kind} is {accepted}")


def _ledger(path: Path, policy: str, sets: list[str], form: str) -> None:
    from simulations.replay import reallocated

    try:
        found = reallocated(path, policy, sets)
    except (FileNotFoundError, DatabaseError) as error:
        said = f" ({error})" if isinstance(error, DatabaseError) else ""
        raise ValueError(
            f"{path}: no ledger{said}; accepted is the ledger.db of a run or of a server's study"
        ) from None
    if form == "json":
        print_json({"format": 1, "policy": policy, "grants": [asdict(each) for each in found]})
        return
    print(f"{'cycle':>5}  {'site':<20} {'granted':>8} {policy:>16}  reason")
    for each in found:
        print(
            f"{each.cycle + 1:>5}  {each.site:<20} {each.granted:>8} {each.instead:>16}  "
            f"{each.reason}"
        )


def _run(path: Path, arms: str, data: str, workers: int, form: str) -> None:
    from simulations.arms import names_of
    from simulations.replay import plan_again

    names = names_of(arms)
    if not names:
        raise ValueError("a run without --arms; accepted is at least one, as simulate takes them")
    plan = plan_again(path, names, data, workers)
    from simulations.command import show
    from simulations.results.compare import compare
    from simulations.results.report import write_report
    from simulations.results.tables import to_json
    from simulations.simulate import simulate
    from simulations.watching import watching

    out = path.resolve().parents[1]
    with watching(plan, quiet=form == "json") as watch:
        simulate(plan, out, watch)
    report = write_report([out], out / "report.html")
    if form == "json":
        print_json(to_json(compare([out])) | {"report": str(report)})
        return
    show(compare([out]))
    print(f"\nThe report: {report}")
