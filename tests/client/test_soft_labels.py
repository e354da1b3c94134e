"""What readers disagree on reaches the loss as a soft target, and trains another model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.learning.networks import initial_arrays
from client.learning.resident import Resident
from client.site import Site
from client.store.reading_shelf import Opening
from protocol.records import Reading, SiteUpdate
from protocol.study import Study, parse

AT = "2026-01-05T08:00:00+00:00"
ONE_STEP = (
    "training.max_steps=1",
    "training.min_steps=1",
    "training.batch_size=32",
    "audit.patients=0.0",
)
RULES = {
    "hard": ("reading.consensus=majority",),
    "shares": ("reading.consensus=majority", "reading.arguments={soft = true}"),
    "dawid-skene": ("reading.consensus=dawid-skene",),
}
CASES = 12


def read(site: Site, study: Study) -> None:
    """Three readers, of whom the third differs in every third case."""
    with site.store.transaction():
        for case in range(1, CASES + 1):
            site.store.readings.open(study.identity, 0, [Opening(case, "query")])
            for number, reader in enumerate(("ann", "ben", "cleo")):
                said = (case + (number == 2 and case % 3 == 0)) % 2
                reading = Reading("", reader, AT, 1.0, "answered", (1 - said, said))
                site.store.readings.add(study.identity, 0, case, "query", reading)


def loss_by_hand(study: Study, site: Site, targets: np.ndarray) -> float:
    """Of the first weights on all cases, as the equations have it, in doubles."""
    import torch

    from client.learning.images import normalised

    resident = Resident(study.network, study.task.image, len(study.task.classes))
    resident.load(initial_arrays(study))
    rows = site.store.cases.rows(np.arange(1, CASES + 1))
    images = np.load(site.home / "i.npy")[rows]
    with torch.no_grad():
        logits = resident.module(normalised(images)).double().numpy()
    if study.task.multi_label:
        p = 1 / (1 + np.exp(-logits))
        return float(-(targets * np.log(p) + (1 - targets) * np.log(1 - p)).mean())
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return float(-(targets * log_p).sum(axis=1).mean())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["single-label", "multi-label"])
def test_a_soft_label_trains_another_model_than_a_hard_one(
    tiny_study: Callable[..., Study],
    tiny_site: Callable[..., Site],
    ask: Callable[..., Any],
    tmp_path: Path,
    kind: str,
) -> None:
    document = tiny_study().model_dump(mode="json", by_alias=True)
    updates: dict[str, SiteUpdate] = {}
    for name, rule in RULES.items():
        study = parse(document, [*ONE_STEP, f"task.kind={kind}", *rule])
        site = tiny_site(study, folder=tmp_path / name)
        read(site, study)
        updates[name] = ask(site, study, "train", arrays=initial_arrays(study))
        targets = site.store.labels.settled(study.identity)[1].astype(np.float64)
        doubtful, sure = targets[2::3], np.delete(targets, slice(2, None, 3), axis=0)
        if name == "hard":
            assert set(np.unique(targets)) == {0.0, 1.0}
        elif name == "shares":
            assert np.sort(doubtful) == pytest.approx(np.array([[1 / 3, 2 / 3]] * 4))
        else:  # less sure than where all agree
            assert doubtful.max(axis=1).max() < sure.max(axis=1).min() < 1
        assert updates[name].loss == pytest.approx(loss_by_hand(study, site, targets), rel=1e-4)
    for name in ("shares", "dawid-skene"):
        hard, soft = updates["hard"].arrays, updates[name].arrays
        assert any(not np.array_equal(hard[key], soft[key]) for key in hard)
