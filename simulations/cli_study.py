"""`wardround study`: new, check, freeze."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from daemons.terminal import Format, check_format, print_json

app = typer.Typer(help="Study files.", no_args_is_help=True)

SITES = "How many hospitals; where the split is site, as many as the cases name."
File = Annotated[
    str, typer.Argument(help="A study file, or the name of a committed one.", metavar="FILE")
]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override a key: budget.total=240.", metavar="A.B=C"),
]


@app.command()
def new(
    file: Annotated[Path, typer.Argument(help="Where to write it; must not exist.")],
    name: Annotated[str, typer.Option(help="The study's name.")] = "my-study",
    form: Format = "text",
) -> None:
    """Write a commented study file with every key."""
    import tomllib

    from protocol.study import parse
    from simulations.template import template

    check_format(form)
    text = template(name)
    parse(tomllib.loads(text))  # says what a study's name may be
    try:
        with file.open("x", encoding="utf-8") as target:
            target.write(text)
    except FileExistsError:
        raise ValueError(f"{file} exists already; accepted is a new file") from None
    except OSError as error:
        raise ValueError(f"{file} cannot be written ({error.strerror})") from None
    if form == "json":
        print_json({"format": 1, "file": str(file), "name": name})
    else:
        print(f"{file}: edit it, then run: wardround study check {file}")


@app.command()
def check(
    file: File,
    data: Annotated[
        str | None, typer.Option(help="Its cases: phantom, .npz, .csv or a folder.")
    ] = None,
    sites: Annotated[int | None, typer.Option(help=SITES)] = None,
    sets: Sets = None,
    form: Format = "text",
) -> None:
    """Validate a study; with data, say how wide its intervals will be."""
    from simulations.checking import check_study
    from simulations.command import study_path
    from simulations.splits import check_number, number_asked

    check_format(form)
    overrides = list(sets or [])
    overrides += [f"simulation.sites={sites}"] if sites is not None else []
    checked = check_study(study_path(file), overrides, data)
    if data is not None:
        asked = number_asked(checked.study, overrides)
        check_number(checked.study, asked, len(checked.expected) - 1)  # the last is all of them
    if form == "json":
        print_json(checked.document())
    else:
        print(checked.text())


@app.command()
def freeze(
    file: File,
    out: Annotated[Path, typer.Option(help="Folder for study.toml and weights.safetensors.")],
    weights: Annotated[
        Path | None, typer.Option(help="Pretrained safetensors to start from instead of the seed.")
    ] = None,
    sets: Sets = None,
    form: Format = "text",
) -> None:
    """Make the study's first weights; study and weights together are its identity."""
    from simulations.command import study_path
    from simulations.freezing import freeze_study

    check_format(form)
    study, digest = freeze_study(study_path(file), list(sets or []), out, weights)
    if form == "json":
        print_json({"format": 1, "study": study, "weights": digest, "folder": str(out)})
        return
    print(f"study   {study}\nweights {digest}\n{out / 'study.toml'}\n{out / 'weights.safetensors'}")
    print(f"next, at the server: wardround-server submit {out}")
