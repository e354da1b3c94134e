"""The whole study on the local engine against the plain loop, side by side in one process."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from protocol.study import Study, document, parse
from simulations.benchmarks.goals import Line
from simulations.benchmarks.plain_loop import Done, plain_loop
from simulations.benchmarks.recipe import Counted, counted, last_model, recipe_of
from simulations.benchmarks.runs import Clock, Seconds, bench_study, ratios, run
from simulations.plan import plan_of
from simulations.processes import single_thread

_ROUNDING = 0.1
"""How far apart two models may be after a round, as a share of their way, and still have had the
same steps."""


def overhead(quick: bool, repeats: int) -> Iterator[Line]:
    """One worker, four sites: what the engine adds to training and inference."""
    rounds, cycles = (4, 1) if quick else (20, 3)
    for network, goal in (("resnet", 1.05), ("tiny-cnn", None)):
        study = bench_study(network, 4, rounds, cycles)
        ours, plain, note, failed = _pairs(study, repeats)
        cpu = median(ratios([s.cpu for s in ours], [s.cpu for s in plain]))
        yield Line(
            f"whole study over plain loop, {network}, 4 sites",
            ratios([s.wall for s in ours], [s.wall for s in plain]),
            "at most",
            goal,
            note=f"{note}; by processor time {cpu:.3f}",
            failed=failed,
        )


def workers(quick: bool, repeats: int) -> Iterator[Line]:
    """Two workers, sixteen sites: how much faster than the plain loop, with the same bits."""
    networks = ("tiny-cnn",) if quick else ("resnet", "tiny-cnn")
    for network in networks:
        study = bench_study(network, 16, 4 if quick else 20)
        ours, plain, note, failed = _pairs(study, repeats, workers=2)
        yield Line(
            f"plain loop over two workers, {network}, 16 sites",
            ratios([s.wall for s in plain], [s.wall for s in ours]),
            "at least",
            1.8,
            note=note,
            failed=failed,
        )


def _pairs(
    study: Study, repeats: int, workers: int = 1
) -> tuple[list[Seconds], list[Seconds], str, str]:
    """Both sides in turn, after one run of each that warms up and is compared."""
    single_thread()
    plan = plan_of(study, "phantom", ["default"], [study.seed])
    ours: list[Seconds] = []
    plain: list[Seconds] = []
    with tempfile.TemporaryDirectory() as place:
        first = run(study, Path(place) / "first")
        recipe = recipe_of(study, first.folder)
        done = plain_loop(recipe, plan.cases().images)
        account = counted(study, first.folder, features=True)
        failed = _counts_differ(account, done) or _first_rounds_differ(study, Path(place) / "one")
        for i in range(repeats):
            ended = run(study, Path(place) / f"{i}", workers)
            ours.append(ended.seconds)
            if last_model(study, ended.folder)[0] != last_model(study, first.folder)[0]:
                failed = failed or "workers changed the model"
            clock = Clock()
            plain_loop(recipe, plan.cases().images)
            plain.append(clock.seconds())
    note = (
        f"{account.steps} steps and {account.scored} images scored on both sides; "
        f"plain {median(s.wall for s in plain):.1f} s, ours {median(s.wall for s in ours):.1f} s"
    )
    return ours, plain, note, failed


def _counts_differ(account: Counted, done: Done) -> str:
    """Whether the sides took other numbers of steps or looks; empty where they did the same."""
    if account != Counted(done.steps, done.scored):
        return f"engine {account}, plain loop {done.steps} steps, {done.scored} scored"
    return ""


def _first_rounds_differ(study: Study, folder: Path) -> str:
    """Whether the models differ by more than rounding after a study of one round.

    Torch's fused update treats the odd last values of a vector otherwise than the rest, and the
    engine has one vector where the loop has one for every layer. Over many rounds such rounding
    grows into other models (a ResNet's were 30 % of their way apart after 60); after one round,
    only other cases, batches or weights put them farther apart than this.
    """
    content = document(study)
    content["training"] = {**content["training"], "rounds_per_cycle": 1}
    content["budget"] = {**content["budget"], "total": content["budget"]["per_cycle"]}
    once = parse(content)
    ended = run(once, folder)
    recipe = recipe_of(once, ended.folder)
    done = plain_loop(recipe, plan_of(once, "phantom", ["default"], [once.seed]).cases().images)
    arrays = last_model(once, ended.folder)[1]
    apart = sum(float(((a - done.arrays[n]) ** 2).sum()) for n, a in arrays.items())
    way = sum(float(((a - recipe.weights[n]) ** 2).sum()) for n, a in arrays.items())
    if apart > (_ROUNDING**2) * way:
        return f"after one round the models are {(apart / way) ** 0.5:.0%} of their way apart"
    return ""
