"""`wardround`: simulate, compare, report, and study files.

Everything heavy is imported inside the commands, so that --help answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from daemons.terminal import Format, run_command
from simulations import cli_attack, cli_poc, cli_replay, cli_study

app = typer.Typer(
    name="wardround",
    help="Federated active learning across hospitals, rehearsed on one machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(cli_study.app, name="study")
app.command()(cli_poc.poc)
app.command()(cli_replay.replay)
app.command()(cli_attack.attack)

Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Override a key of the study file: budget.total=240.", metavar="A.B=C"
    ),
]
Runs = Annotated[list[Path], typer.Argument(help="Folders that `simulate` wrote, or single runs.")]


@app.command()
def simulate(
    study: Annotated[
        str, typer.Argument(help="A study file, a frozen folder, or one of: demo, pneumonia.")
    ] = "demo",
    data: Annotated[
        str, typer.Option(help="phantom, an .npz file, a .csv file or a folder with one.")
    ] = "phantom",
    sites: Annotated[int | None, typer.Option(help=cli_study.SITES)] = None,
    split: Annotated[
        str | None, typer.Option(help="iid, dirichlet:ALPHA, quantity or site.")
    ] = None,
    arms: Annotated[
        str,
        typer.Option(
            help="Comma-separated: default, full, strategies; each with @policy, then with "
            "+key=value of the study file, as often as wanted, and ~attack."
        ),
    ] = "default,random,full",
    attack: Annotated[
        str,
        typer.Option(help="Comma-separated: every arm also with one site that attacks so."),
    ] = "",
    seeds: Annotated[
        str, typer.Option(help="How many (5), a range (100-119) or a list (3,7).")
    ] = "1",
    workers: Annotated[int, typer.Option(help="Processes; they change no result.", min=1)] = 1,
    engine: Annotated[str, typer.Option(help="local, or ray.")] = "local",
    scored_on: Annotated[
        str, typer.Option(help="The locked split that curves are measured on: test or val.")
    ] = "test",
    out: Annotated[
        Path, typer.Option(help="Folder of the results; the same call goes on in it.")
    ] = Path("runs/demo"),
    sets: Sets = None,
    form: Format = "text",
) -> None:
    """Run a study on simulated hospitals, arms against each other, seed by seed."""
    from protocol.study import load
    from simulations.arms import with_attacks
    from simulations.command import frozen_weights, run_simulation, study_path
    from simulations.splits import number_asked

    overrides = list(sets or [])
    overrides += [f"simulation.sites={sites}"] if sites is not None else []
    overrides += [f'simulation.split="{split}"'] if split is not None else []
    loaded = load(study_path(study), overrides)
    options: dict[str, Any] = {"workers": workers, "engine": engine, "scored_on": scored_on}
    options |= {"start_file": frozen_weights(study), "asked": number_asked(loaded, overrides)}
    named = with_attacks(arms, attack)
    run_simulation(loaded, data, named, seeds, out, options, form)


@app.command()
def compare(
    runs: Runs,
    metric: Annotated[str, typer.Option(help="auroc, auprc, log_loss, ...")] = "auroc",
    scope: Annotated[str, typer.Option(help="pooled, macro or worst.")] = "",
    form: Format = "text",
) -> None:
    """Compare the arms of finished runs: curves, labels saved, paired tests."""
    from simulations.command import print_comparison

    print_comparison(runs, metric, scope, form)


@app.command()
def report(
    runs: Runs,
    out: Annotated[
        Path | None, typer.Option(help="The HTML file; report.html in the first folder.")
    ] = None,
) -> None:
    """Write an HTML file that opens without a network, and board.html beside it for a board."""
    if out is not None and out.is_dir():
        raise ValueError(f"--out {out} is a folder; accepted is a file, such as {out}/report.html")
    if out is not None and (out.suffix != ".html" or out.name == "board.html"):
        raise ValueError(f"--out {out}: accepted is an .html file that is not board.html")
    from simulations.command import print_report

    print_report(runs, out)


def main() -> None:
    """The command `wardround`."""
    run_command(app, "wardround", interrupted="stopped; the same command goes on from here")
