"""The one recipe of every run: network, training, budget; and the cells that vary it.

Fixed before any test result was looked at, and not tuned to any strategy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from protocol.study import Study, document, parse

MINUTES = (0.5, 1.0, 2.0)
"""Physician minutes of a reading at the first site, the second, the third, and so on again."""

_SECONDS = tuple(60 * minutes for minutes in MINUTES)

CELLS: Mapping[str, tuple[str, ...]] = {
    "selectors": (),
    "further": (),
    "shares": ("audit.patients=0.15", "audit.grant=0.1", "budget.exploration=0.1"),
    "budgets": ("budget.exploration=0.1", "simulation.readers.seconds=60.0"),
    "minutes": ("budget.exploration=0.1",),
    "resnet": ("network={name='resnet'}",),
    "attacked": (
        "network={name='mlp'}",
        "budget.total=264",
        "budget.first=264",
        "budget.per_cycle=264",
        "training.local_epochs=1",
        "training.min_steps=5",
        "training.max_steps=5",
    ),
    "drained": (
        "network={name='mlp'}",
        "budget.exploration=0.1",
        "training.rounds_per_cycle=2",
        "training.min_steps=5",
        "training.max_steps=5",
    ),
}
"""What a cell changes of the recipe, as keys of the study file."""

ABOUT: Mapping[str, str] = {
    "selectors": "no audit and no exploration share: every label of the budget is the strategy's",
    "further": "as selectors: arms that the screen put first and that were confirmed after the "
    "others, with `random` and `ward` run anew beside them",
    "shares": "the product's own shares: 15 % of patients and 10 % of grants audit, 10 % explores",
    "budgets": "budget policies: a tenth explores, every reading takes a minute",
    "minutes": "budget policies: a tenth explores, readings take 0.5, 1 or 2 minutes by site",
    "resnet": "the default ResNet in place of the six-thousand-parameter CNN",
    "attacked": "an MLP, one cycle of 264 random labels, 20 rounds of 5 steps at each site",
    "drained": "an MLP, six cycles of two rounds: what is looked at is the grants",
}

MARKED = ("attacked",)
"""Cells in which every model is shown images with the mark of a backdoor."""


_FIXED: Mapping[str, Any] = {
    "schema": 1,
    "training": {
        "rounds_per_cycle": 20,
        "local_epochs": 2,
        "min_steps": 10,
        "max_steps": 60,
        "batch_size": 16,
        "optimizer": "adam",
        "learning_rate": 3e-3,
        "schedule": "cosine",
        "start": "scratch",
    },
    "query": {"strategy": "random", "cold_start": "random"},
    "audit": {"patients": 0.0, "grant": 0.0},
    "stopping": {"rule": "never"},
}
"""What is the same on every track."""


def recipe(
    name: str,
    image: Sequence[int],
    classes: Sequence[str],
    *,
    network: str = "tiny-cnn",
    split: str = "site",
    sites: int = 6,
    labels: tuple[int, int, int] = (24, 48, 5),
) -> Study:
    """The study of a track.

    Args:
        name: of the study, spelt as one may be.
        image: channels, height, width.
        classes: their names, in label order.
        network: of the table, with its default arguments.
        split: of the sites, as in a study file.
        sites: how many.
        labels: of the first cycle, of each later one, and how many those are.
    """
    first, later, cycles = labels
    named = [{"name": c, "definition": c} for c in classes]
    readers = {"per_site": 1, "seconds": list(_SECONDS), "spread": 0.0}
    return parse(
        {
            **_FIXED,
            "name": re.sub(r"[^a-z0-9-]+", "-", name.lower()),
            "task": {"image": list(image), "classes": named},
            "network": {"name": network},
            "budget": {
                "total": first + later * cycles,
                "first": first,
                "per_cycle": later,
                "policy": "uniform",
                "exploration": 0.0,
            },
            "simulation": {"sites": sites, "split": split, "readers": readers},
        }
    )


def cell_of(study: Study, cell: str) -> Study:
    """The study as a cell varies it.

    Raises:
        ValueError: no cell has that name.
    """
    if cell not in CELLS:
        raise ValueError(f"cell {cell!r}: accepted is one of {', '.join(CELLS)}")
    return parse(document(study), CELLS[cell])
