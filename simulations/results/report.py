"""One self-contained HTML file that a study lead can keep, print and hand on."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from simulations.attacks.privacy.told import kept
from simulations.results import figures, hours, page, words
from simulations.results.advice import advice
from simulations.results.attacked import attacked
from simulations.results.compare import compare
from simulations.results.comparison import MEASURES, Comparison
from simulations.results.outcomes import Choice
from simulations.results.private import private
from simulations.results.worth import worth
from strategies.metrics.table import METRICS


def write_report(outs: Sequence[Path], path: Path, choice: Choice | None = None) -> Path:
    """Compare the runs in some directories and write the report; the same runs, the same bytes.

    The file is written whole or not at all.

    Args:
        outs: simulation or run directories.
        path: the file to write; its folder is made.
        choice: metric, scope, split and reference.
    Returns:
        The path.
    Raises:
        NotARun, NotPaired, CannotCompare: see `compare`; nothing is written.
    """
    return written(path, render(compare(outs, choice), tuple(kept(outs))))


def written(path: Path, page: str) -> Path:
    """The path, once the page is there: whole or not at all."""
    content = page.encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return path


def render(comparison: Comparison, leaks: Sequence[page.Titled] = ()) -> str:
    """The report as one HTML document without script, font, address or date."""
    content = _results(comparison) | _evidence(comparison) | {"leaks": leaks}
    return filled("report.html.j2", content)


def filled(template: str, content: Mapping[str, object]) -> str:
    """A template of this folder with its content."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**content)


def _results(comparison: Comparison) -> dict[str, object]:
    """What the first half of the page shows: the answer, the curves, the arms."""
    metric = METRICS[comparison.choice.metric]
    rest = [page.paired(comparison, measure) for measure in MEASURES]
    return {
        "study": comparison.runs.simulations[0].study,
        "metric": metric,
        "measure": words.measure(comparison),
        "headline": words.headline(comparison),
        "notes": comparison.notes,
        "seeds": len(comparison.runs.seeds),
        "reference": comparison.reference,
        "between": comparison.between,
        "curve": _svg(figures.curves(comparison)),
        "worst": _svg(figures.curves(comparison, worst=True)),
        "bound": comparison.bound,
        "arms": page.arms(comparison),
        "paired": [table for table in rest if table is not None],
    }


def _evidence(comparison: Comparison) -> dict[str, object]:
    """What the second half shows: where the readings went, each site, and where it comes from."""
    runs = comparison.runs
    bars, sites_key = figures.budgets(comparison)
    classes, classes_key = figures.classes(comparison)
    cycles = [cycle.metrics for run in runs.runs for cycle in run.cycles]
    every = [found for splits in cycles for found in (splits.locked, splits.audit)]
    return {
        "simulations": runs.simulations,
        "unit": runs.simulations[0].unit,
        "first_seed": runs.seeds[0],
        "clustered": all(r.clustered for r in every if r is not None),
        "budgets": [_svg(figure) for figure in bars],
        "sites_key": sites_key,
        "grants": page.grants(comparison),
        "classes": _svg(classes),
        "classes_key": classes_key,
        "effort": page.effort(comparison),
        "taken": hours.taken(comparison),
        "per_unit": hours.per_unit(comparison),
        "arrived": hours.arrived(comparison),
        "sites": page.sites(comparison),
        "metrics": page.metrics(comparison),
        "explanations": METRICS.values(),
        "attacked": attacked(comparison),
        "private": private(comparison),
        "audit": page.audit(comparison),
        "advice": advice(comparison),
        "worth": worth(comparison),
        "origins": page.origins(runs.runs),
        "resolved": runs.runs[0].study,
        "resolved_of": f"{runs.runs[0].arm}, seed {runs.runs[0].seed}",
    }


def _svg(drawn: str | None) -> object:
    """A figure as markup: its texts were escaped where it was drawn."""
    from markupsafe import Markup

    return None if drawn is None else Markup(drawn)  # noqa: S704 our own drawing, escaped there
