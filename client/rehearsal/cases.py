"""The cases of a rehearsal: the ordinary import, the phantom as a file, and what sources know."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from client.paths import HomePaths
from client.patients import site_key
from client.sources.arrays import known_answers
from client.sources.choosing import Wanted, source_of
from client.sources.decoder import Decoder
from client.sources.importing import Import
from client.sources.labels import Labels
from client.sources.reach import Reach
from client.store.store import SiteStore
from protocol.study import Study, StudyError

_SIZE = 168
_CASES = 400


def take(
    store: SiteStore, home: Path, source: Path, labels: Labels, say: Callable[[str], None]
) -> None:
    """Import a source as `wardround-site import` does; what it passed over is said.

    Raises:
        SourceError: it cannot be used.
    """
    reach = Reach(HomePaths(home))
    with Decoder() as decoder:
        task = Import(store, site_key(home), decoder, reach=reach)
        asked = Wanted(str(source), "", frozenset(), labels, lambda _: None, reach, task.looked)
        tally = task.run(source_of(asked, decoder))
    say(f"  {tally.taken.total()} new cases, {tally.known} there already")
    for reason, count in sorted(tally.skipped.items()):
        say(f"  skipped: {count}: {reason}")


def truths(home: Path, sources: Sequence[Path], study: Study) -> dict[str, tuple[int, ...]]:
    """What .npz files know of their pool, 0 or 1 for each class, by case key.

    Raises:
        StudyError: a source is no .npz, or knows no label in the study's classes.
    """
    key, found = site_key(home), dict[str, tuple[int, ...]]()
    labels = Labels(study.task.names, study.task.multi_label)
    with Decoder() as decoder:
        for source in sources:
            if source.suffix.lower() != ".npz":
                raise StudyError(
                    "simulated readers answer what a source knows; accepted are the phantom and "
                    ".npz files with labels"
                )
            for name, answer in known_answers(source.resolve(), decoder, labels):
                if not answer:
                    raise StudyError(
                        "a source has cases without a label in the study's classes; simulated "
                        "readers need one for each"
                    )
                found[key.case(name)] = answer
    return found


def phantom(file: Path, study: Study) -> None:
    """Write the phantom's pool and test images as an .npz that the ordinary import takes.

    Raises:
        CasesError: the study's task is not the phantom's.
    """
    if file.exists():
        return
    from client.cases.phantom import phantom as draw

    cases = draw((1, _SIZE, _SIZE), len(study.task.classes), study.seed, _CASES, sites=4)
    assert cases.targets is not None  # noqa: S101 - a phantom has them
    arrays: dict[str, Any] = {}
    for split, ours in (("train", "pool"), ("test", "test")):
        rows = [i for i, s in enumerate(cases.splits) if s == ours]
        arrays[f"{split}_images"] = cases.images[rows, 0]
        arrays[f"{split}_labels"] = cases.targets[rows].argmax(axis=1)[:, None]
        arrays[f"{split}_patient"] = np.array([cases.patients[i] for i in rows])
    fresh = file.with_suffix(".part")
    with fresh.open("wb") as opened:
        np.savez(opened, **arrays)
    fresh.replace(file)
